import type { Parse } from './parse.ts';

/** A setting as the tables of settings describe it. */
interface Setting<T> {
  /** A word for the value in `--help`. */
  value: string;
  /** The default, as a user would write it. */
  fallback: string;
  help: string;
  parse: Parse<T>;
}

/** Reads the setting of this name. */
export type Read = <T>(name: string, setting: Setting<T>) => T;
