import type { Readable } from 'node:stream';
import type { ProcessInfo } from '../app/process_info.ts';

/** The parts of the process that a command uses; tests pass their own. */
export interface Io extends ProcessInfo {
  env: Readonly<Record<string, string | undefined>>;
  /** How this program was invoked, for the commands that it suggests. */
  program: string;
  /** The command that `serve` suggests as a first call: it takes `--addr` and no TLS flags. Defaults to `health`. */
  firstCall?: string;
  /** Writes text to standard output unchanged. */
  write: (text: string) => void;
  /** Writes a line to standard error. */
  error: (line: string) => void;
  input: Readable;
  /** True if the process had a terminal that has been closed. */
  terminalIsGone: () => boolean;
}

/** A flag as `--help` shows it. */
export interface Flag {
  /** Without dashes. */
  name: string;
  /** The placeholder of its value; undefined for a flag without a value. */
  value?: string;
  /** The next argument is its value even if it starts with a dash, as in getopt. */
  isText?: boolean;
  /** May be repeated; all values count. */
  repeats?: boolean;
  help: string;
}

/** The parsed command line. */
export interface Args {
  /** Flags by name without dashes; `true` for a flag without a value. */
  flags: Readonly<Record<string, string | true | undefined>>;
  /** The values of repeatable flags. */
  lists?: Readonly<Record<string, readonly string[]>>;
  operands: readonly string[];
  /** An error line for each unknown argument. */
  problems: readonly string[];
}

/** A subcommand. */
export interface Command {
  summary: string;
  /** More help, after the summary. */
  details?: string;
  /** Operands in the usage line, such as `NAME`. */
  operands?: string;
  flags: readonly Flag[];
  /** Example arguments, each with a description. */
  examples: readonly (readonly [args: string, does: string])[];
  /** Parses arguments like Go programs (`-addr`); see go_flags.ts. */
  goFlags?: boolean;
  /** Returns the exit code. */
  run(args: Args, io: Io): Promise<number>;
}
