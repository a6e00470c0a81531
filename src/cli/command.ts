import type { Readable } from 'node:stream';
import type { ProcessInfo } from '../app/process_info.ts';

/** What a command may touch of the process. Tests hand in their own. */
export interface Io extends ProcessInfo {
  env: Readonly<Record<string, string | undefined>>;
  /** How this program was called, for the commands it suggests. */
  program: string;
  /** The command that `serve` suggests as a first call, which takes `--addr` and knows no TLS; left out, it is `health`. */
  firstCall?: string;
  /** Writes text to standard output as it is. */
  write: (text: string) => void;
  /** Writes a line to standard error. */
  error: (line: string) => void;
  input: Readable;
  /** Whether there was a terminal, and is no more. */
  terminalIsGone: () => boolean;
}

/** A flag as `--help` shows it. */
export interface Flag {
  /** Without dashes. */
  name: string;
  /** A word for the value that must follow; without one, the flag stands alone. */
  value?: string;
  /** Whatever follows is its value, dashes and all, as getopt has it. */
  isText?: boolean;
  /** It may be given more than once, and each of its values counts. */
  repeats?: boolean;
  help: string;
}

/** What was found on the command line. */
export interface Args {
  /** The flags given, by name without dashes; `true` for one that came without a value. */
  flags: Readonly<Record<string, string | true | undefined>>;
  /** The values of flags that may be given more than once. */
  lists?: Readonly<Record<string, readonly string[]>>;
  operands: readonly string[];
  /** A line for each argument that the command does not know. */
  problems: readonly string[];
}

/** One subcommand. */
export interface Command {
  summary: string;
  /** What follows the flags in the usage line, such as `NAME`. */
  operands?: string;
  flags: readonly Flag[];
  /** Arguments that work, each with what they do. */
  examples: readonly (readonly [args: string, does: string])[];
  /** Reads its arguments as programs in Go do (`-addr`); see go_flags.ts. */
  goFlags?: boolean;
  /** Returns the exit code. */
  run(args: Args, io: Io): Promise<number>;
}
