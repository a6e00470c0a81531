import { Code, ConnectError } from '@connectrpc/connect';

/** As deep as protobuf's own decoders go. */
const mostDeep = 100;
/** Bytes that a value takes beside its text: an object with its fields, or a place in an array. */
const valueCost = 64;

const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const opening = new Set([0x5b, 0x7b]);
const closing = new Set([0x5d, 0x7d]);

/**
 * Bytes that a text of JSON becomes in memory, within twice: nothing is made of it to find out. Throws
 * INVALID_ARGUMENT for one that is deeper than any message.
 */
export function jsonCost(text: Uint8Array): number {
  let values = 1;
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const c = text[at] ?? 0;
    if (c === quote) at = endOfString(text, at);
    else if (c === comma) values++;
    else if (opening.has(c)) {
      values++;
      if (++depth > mostDeep) {
        throw new ConnectError(
          `Cannot take JSON of more than ${mostDeep} levels`,
          Code.InvalidArgument,
        );
      }
    } else if (closing.has(c)) depth--;
  }
  return 2 * text.length + valueCost * values;
}

function endOfString(text: Uint8Array, from: number): number {
  let at = from + 1;
  while (at < text.length && text[at] !== quote) at += text[at] === backslash ? 2 : 1;
  return at;
}
