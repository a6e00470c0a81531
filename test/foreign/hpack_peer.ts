import { createInterface } from 'node:readline';
import { createHpackDecoder } from '../../src/engine/http2/hpack/decoder.ts';
import { encodeHeaders, encodeTableSizeUpdate } from '../../src/engine/http2/hpack/encoder.ts';

// Runs our codec for hpack_round_trip.py: one line of input and one line of output per connection.
for await (const line of createInterface({ input: process.stdin })) {
  const { decode, encode }: Connection = JSON.parse(line);
  console.log(JSON.stringify(decode ? decodeAll(decode) : encodeAll(encode ?? [])));
}

interface Connection {
  /** Blocks in hexadecimal. */
  decode?: string[];
  /** Names and values, alternating. */
  encode?: string[][];
}

function decodeAll(blocks: string[]): unknown[] {
  const decoder = createHpackDecoder({ maxHeaderListSize: 2 ** 20 });
  return blocks.map((block) => decoder.decode(Buffer.from(block, 'hex')).fields);
}

function encodeAll(lists: string[][]): string[] {
  const update = encodeTableSizeUpdate(0).toString('hex');
  return lists.map((list, at) => (at === 0 ? update : '') + encodeHeaders(list).toString('hex'));
}
