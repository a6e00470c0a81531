import { readFileSync } from 'node:fs';
import { messageOf } from '../message_of.ts';
import type { Args } from './command.ts';
import { parseGoDuration } from './go_duration.ts';

/** Reads flags one by one and gathers what is wrong with them. */
export interface FlagReader {
  /** Every problem so far, the command line's own first. */
  readonly problems: string[];
  /** Whether a flag without a value was given. */
  given(name: string): boolean;
  text(name: string): string | undefined;
  /** All that was given, parsed; the parser's RangeError says the rule. */
  list<T>(name: string, parse: (text: string) => T): T[];
  /** Milliseconds, of a duration as Go writes it; NaN where it cannot be read. */
  duration(name: string, fallback: string): number;
  /** What the parser makes of the file that the flag names; none is an empty name too. */
  file<T>(name: string, parse: (content: Buffer) => T): T | undefined;
}

/** A reader for what a command was given. */
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
