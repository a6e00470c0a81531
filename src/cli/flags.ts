import { readFileSync } from 'node:fs';
import { duration } from '../config/parse.ts';
import { messageOf } from '../message_of.ts';
import type { Args } from './command.ts';

/** Reads flags one by one and gathers what is wrong with them. */
export interface FlagReader {
  /** Every problem so far, the command line's own first. */
  readonly problems: string[];
  /** Whether a flag without a value was given. */
  given(name: string): boolean;
  text(name: string): string | undefined;
  /** Milliseconds. */
  duration(name: string, fallback: string): number;
  /** The content of the file that the flag names. */
  file(name: string): Buffer | undefined;
}

/** A reader for what a command was given. */
export function readFlags({ flags, problems: known }: Args): FlagReader {
  const problems = [...known];
  return { problems, given: (name) => flags[name] === true, text, duration: durationOf, file };

  function text(name: string): string | undefined {
    const value = flags[name];
    if (value !== true) return value;
    problems.push(`--${name}: needs a value`);
    return undefined;
  }

  function durationOf(name: string, fallback: string): number {
    const value = text(name) ?? fallback;
    return attempt(name, value, duration({ min: '1ms' })) ?? 0;
  }

  function file(name: string): Buffer | undefined {
    const path = text(name);
    return path === undefined ? undefined : attempt(name, path, (from) => readFileSync(from));
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
