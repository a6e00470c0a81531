import { Code, ConnectError } from '@connectrpc/connect';

/** The maximum depth, as in protobuf's own decoders. */
const maxDepth = 100;
/** The maximum number of values: more take the event loop for tens of milliseconds. */
const maxValues = 10_000;
/** The memory of a value beside its text, in bytes: an object with its fields, or an element of an array. */
const valueBytes = 64;
/** The work of decoding a value, in units of a flow. */
const valueWork = 8;

/** The end of a longer string is found by a native search. */
const shortString = 64;

const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const colon = 0x3a;
const opening = new Set([0x5b, 0x7b]);
const closing = new Set([0x5d, 0x7d]);

/** What JSON takes when it is decoded. */
export interface JsonCost {
  /** The keys of all objects, if it is valid. */
  keys: number;
  /** The memory, within a factor of two. */
  bytes: number;
  /** The unit is that of a flow: about a quarter of a microsecond. */
  work: number;
}

/**
 * Estimates the cost of JSON without parsing it. Throws INVALID_ARGUMENT if it is nested deeper than any message, and
 * RESOURCE_EXHAUSTED if it has too many values.
 */
export function jsonCost(bytes: Uint8Array): JsonCost {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  let values = 1;
  let keys = 0;
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const c = text[at] ?? 0;
    if (c === quote) at = endOfString(text, at);
    else if (c === comma) values++;
    else if (c === colon) keys++;
    else if (opening.has(c)) {
      values++;
      if (++depth > maxDepth) {
        throw new ConnectError(
          `Cannot accept JSON of more than ${maxDepth} levels`,
          Code.InvalidArgument,
        );
      }
    } else if (closing.has(c)) depth--;
    if (values > maxValues) {
      throw new ConnectError(
        `Cannot accept JSON of more than ${maxValues} values: send protobuf instead`,
        Code.ResourceExhausted,
      );
    }
  }
  return {
    keys,
    bytes: 2 * text.length + valueBytes * values,
    work: jsonWork(text.length) + valueWork * values,
  };
}

/** The work of decoding or encoding so many bytes of JSON, in units of a flow. */
export function jsonWork(bytes: number): number {
  return bytes >> 5;
}

/** The end of a string that begins at `from`. */
function endOfString(text: Buffer, from: number): number {
  const soon = Math.min(text.length, from + shortString);
  let at = from + 1;
  while (at < soon && text[at] !== quote) at += text[at] === backslash ? 2 : 1;
  return at < soon ? at : endOfLongString(text, at);
}

/** The same for a string that continues at `from`, which is not escaped. */
function endOfLongString(text: Buffer, from: number): number {
  for (let at = text.indexOf(quote, from); at !== -1; at = text.indexOf(quote, at + 1)) {
    let first = at;
    while (first > from && text[first - 1] === backslash) first--;
    if ((at - first) % 2 === 0) return at;
  }
  return text.length;
}
