import { readFileSync, statSync } from 'node:fs';
import { longestPem, type PemFile, pemFileRule } from '../certificates.ts';
import { messageOf } from '../message_of.ts';

/** Parses a setting, or throws a RangeError whose message is the rule. */
export type Parse<T> = (text: string) => T;

/** Exactly one of the words. */
export function oneOf<const T extends string>(...words: readonly T[]): Parse<T> {
  return (text) => {
    const match = words.find((word) => word === text);
    if (match === undefined) throw new RangeError(`must be one of ${words.join(', ')}`);
    return match;
  };
}

/** A switch: on or true, off or false. */
export function onOff(text: string): boolean {
  if (text === 'on' || text === 'true') return true;
  if (text === 'off' || text === 'false') return false;
  throw new RangeError('must be on or off');
}

/** An integer. */
export function integer(min: number, max: number): Parse<number> {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max)) {
      throw new RangeError(`must be a whole number from ${min} to ${max}`);
    }
    return value;
  };
}

const unitMs: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
/** Timers hold 2^31 - 1 ms, a little more than this. */
const maxDuration = '576h';

/**
 * Parses a Go duration (`250ms`, `5s`, `1m30s`); returns milliseconds. `max` must not exceed 576h, the range of a
 * timer.
 */
export function duration({ min, max = maxDuration }: { min: string; max?: string }): Parse<number> {
  return (text) => {
    const ms = durationMs(text);
    if (!(ms >= durationMs(min) && ms <= durationMs(max))) {
      throw new RangeError(`must be a duration from ${min} to ${max}, such as 250ms, 5s or 1m30s`);
    }
    return ms;
  };
}

function durationMs(text: string): number {
  if (text === '0') return 0;
  if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text)) return Number.NaN;
  const parts = text.matchAll(/(?<count>[\d.]+)(?<unit>ms|s|m|h)/g);
  return Math.round(
    parts.reduce((sum, { groups }) => {
      return sum + Number(groups?.['count']) * (unitMs[groups?.['unit'] ?? ''] ?? Number.NaN);
    }, 0),
  );
}

const unitBytes: Record<string, number> = {
  '': 1,
  B: 1,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
};

/** Parses a size (`4MiB`, `64KiB`, `1000`); returns bytes. */
export function size({ min, max }: { min: string; max: string }): Parse<number> {
  return (text) => {
    const bytes = sizeBytes(text);
    if (!(bytes >= sizeBytes(min) && bytes <= sizeBytes(max))) {
      throw new RangeError(`must be a size from ${min} to ${max}, such as 64KiB or 4MiB`);
    }
    return bytes;
  };
}

function sizeBytes(text: string): number {
  const { count, unit } = /^(?<count>\d+)(?<unit>\D*)$/.exec(text)?.groups ?? {};
  return Number(count) * (unitBytes[unit ?? '?'] ?? Number.NaN);
}

/** Accepts another parser's values, or a word for undefined. */
export function or<T>(word: 'none' | 'off' | 'auto', parse: Parse<T>): Parse<T | undefined> {
  return (text) => {
    if (text === word) return undefined;
    try {
      return parse(text);
    } catch (error) {
      throw new RangeError(`${messageOf(error)}, or ${word}`);
    }
  };
}

/** Accepts another parser's values, or `none` for Infinity. */
export function orForever(parse: Parse<number>): Parse<number> {
  const parseSome = or('none', parse);
  return (text) => parseSome(text) ?? Number.POSITIVE_INFINITY;
}

/** Reads a PEM file, which may be a key, so JSON shows the path only; `off` for none. */
export function pemFile(text: string): (PemFile & { toJSON(): string }) | undefined {
  if (text === 'off') return undefined;
  const stats = readable(() => statSync(text, { throwIfNoEntry: false }));
  if (stats && (!stats.isFile() || stats.size > longestPem)) throw new RangeError(pemFileRule);
  const pem = readable(() => readFileSync(text, 'utf8'));
  if (pem.includes('\0')) throw new RangeError('must be PEM in UTF-8, not UTF-16 or DER');
  if (!pem.includes('-----BEGIN ')) throw new RangeError('must be a PEM file');
  return { path: text, pem, toJSON: () => text };
}

function readable<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new RangeError(`must be a file that can be read: ${messageOf(error)}`);
  }
}
