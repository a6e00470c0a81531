import type { ProcessFigures } from '../observability/process_metrics.ts';

/** The process that the app runs in, and its machine. */
export interface ProcessInfo {
  /** The file descriptor of the log. */
  logTo: number;
  /** True if the log is a terminal. */
  isTerminal: boolean;
  version: string;
  /** The hostname. */
  hostname: string;
  /** The processors, and the bytes of memory, available to the process. */
  capacity: () => { cpus: number; memory: number };
  /** The git commit it was built from; empty if unknown. */
  commit: string;
  figures: ProcessFigures;
  /** Runs synchronous work when the process exits, for whatever reason. */
  atExit: (work: () => void) => void;
  /** Receives Node's warnings, in place of any earlier listener. */
  onWarning: (take: (warning: Error) => void) => void;
}
