import type { Parse } from './parse.ts';

/** A setting, as the tables of settings define it. */
interface Setting<T> {
  /** The placeholder of the value in `--help`. */
  value: string;
  /** The default, as a user would write it. */
  fallback: string;
  help: string;
  parse: Parse<T>;
}

/** Reads the setting of this name. */
export type Read = <T>(name: string, setting: Setting<T>) => T;
