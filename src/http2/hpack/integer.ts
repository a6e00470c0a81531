import { HpackError } from './hpack_error.ts';
import type { BlockReader, BlockWriter } from './octets.ts';
import type { Prefix } from './representation.ts';

/** RFC 7541 section 5.1 leaves the limit to us; nothing that is counted here comes near it. */
const largest = 2 ** 31 - 1;
/** Of the fifth octet after the prefix: an integer up to `largest` needs no sixth one. */
const lastFactor = 128 ** 4;

/** The most octets that writeInteger() writes. */
export const mostIntegerOctets = 6;

/**
 * Reads an integer that begins in the next octet's bits of `mask` (RFC 7541 section 5.1). Throws a
 * HpackError above 2^31 - 1, and after six octets whatever they hold.
 */
export function readInteger(reader: BlockReader, mask: number): number {
  const start = reader.next() & mask;
  if (start < mask) return start;
  let value = mask;
  for (let factor = 1; factor <= lastFactor; factor *= 128) {
    const octet = reader.next();
    value += (octet & 0x7f) * factor;
    if (octet < 0x80 && value <= largest) return value;
    if (octet < 0x80) break;
  }
  throw new HpackError(`an integer is at most ${largest}, in at most ${mostIntegerOctets} octets`);
}

/** Writes an integer of 0 to 2^31 - 1 behind the pattern (RFC 7541 section 5.1). */
export function writeInteger(writer: BlockWriter, value: number, { pattern, mask }: Prefix): void {
  if (value < mask) return writer.push(pattern | value);
  writer.push(pattern | mask);
  let rest = value - mask;
  for (; rest >= 0x80; rest >>>= 7) writer.push(0x80 | (rest & 0x7f));
  writer.push(rest);
}
