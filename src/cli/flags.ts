import { readFileSync } from 'node:fs';
import { messageOf } from '../message_of.ts';
import type { Args } from './command.ts';
import { parseGoDuration } from './go_duration.ts';

/** Reads flags one by one and collects errors. */
export interface FlagReader {
  /** All errors so far, those of the command line first. */
  readonly problems: string[];
  /** True if a flag without a value is set. */
  given(name: string): boolean;
  text(name: string): string | undefined;
  /** All values of a flag, parsed; a RangeError of the parser has the rule. */
  list<T>(name: string, parse: (text: string) => T): T[];
  /** A Go duration in milliseconds; NaN if it is invalid. */
  duration(name: string, fallback: string): number;
  /** Parses the file that the flag names; undefined if the flag is unset or empty. */
  file<T>(name: string, parse: (content: Buffer) => T): T | undefined;
}

/** Creates the reader of a parsed command line. */
export function readFlags({ flags, lists, problems: known }: Args): FlagReader {
  const problems = [...known];
  const given = (name: string) => flags[name] === true;
  return { problems, given, text, list, duration, file };

  function text(name: string): string | undefined {
    const value = flags[name];
    if (value !== true) return value;
    problems.push(`--${name}: needs a value`);
    return undefined;
  }

  function list<T>(name: string, parse: (text: string) => T): T[] {
    return (lists?.[name] ?? []).flatMap((value) => {
      const parsed = attempt(name, value, parse);
      return parsed === undefined ? [] : [parsed];
    });
  }

  function duration(name: string, fallback: string): number {
    return attempt(name, text(name) ?? fallback, parseGoDuration) ?? Number.NaN;
  }

  function file<T>(name: string, parse: (content: Buffer) => T): T | undefined {
    const path = text(name) || undefined;
    return path === undefined
      ? undefined
      : attempt(name, path, (from) => parse(readFileSync(from)));
  }

  function attempt<T>(name: string, value: string, parse: (value: string) => T): T | undefined {
    try {
      return parse(value);
    } catch (error) {
      problems.push(`--${name} "${value}": ${messageOf(error)}`);
      return undefined;
    }
  }
}
