import type { ProcessFigures } from '../observability/process_metrics.ts';

/** The process that the app runs in, and the machine. */
export interface ProcessInfo {
  /** The log goes here: a file descriptor. */
  logTo: number;
  /** Whether people read it. */
  isTerminal: boolean;
  version: string;
  /** The machine's name. */
  hostname: string;
  /** Processors, and bytes of memory, that the process may have. */
  capacity: () => { cpus: number; memory: number };
  /** What it was built from; empty where nobody knows. */
  commit: string;
  figures: ProcessFigures;
  /** Has it done when the process ends, however that comes; it cannot wait for anything. */
  atExit: (work: () => void) => void;
  /** Gives what Node warns of to this one, in place of whoever had it before. */
  onWarning: (take: (warning: Error) => void) => void;
}
