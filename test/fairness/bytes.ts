import { gzipSync } from 'node:zlib';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { ScriptRequest } from '../echo/gen/echo.ts';
import { defaultMaxFrameSize, Flag, FrameType } from '../../src/engine/http2/frames.ts';
import { block, field, insert } from '../hpack/blocks.ts';
import { createRandom } from '../hpack/random.ts';
import { ids } from '../http2_attacks/greeting.ts';
import { headers } from '../http2_attacks/targets.ts';
import { frameOf } from '../support/http2_peer.ts';
import { frame, packed } from '../support/raw_client.ts';
import { reply, scriptRequest } from '../support/script.ts';

/** So many MiB, in bytes. */
export const MiB = 1024 * 1024;
/** A message of almost the maximum size, with room for its envelope. */
export const most = 4 * MiB - 1024;
/** An empty message. */
export const nothing: Buffer = frame(Buffer.alloc(0));

/** How to make calls of one kind on one connection; without a body they stay open. */
export interface Calls {
  path: string;
  count: number;
  body?: Buffer;
  /** True (the default) if the body ends its stream. */
  ends?: boolean;
  /** Header fields besides the usual ones. */
  fields?: Record<string, string>;
}

/** Calls on one connection: the first fills the server's dynamic table, so that the others take few bytes. */
export function calls({ path, count, body, ends = true, fields: more = {} }: Calls): Buffer {
  const begin = block(field(3), field(6));
  const fields: [string, string][] = [
    [':path', path],
    ['content-type', 'application/grpc'],
    ['te', 'trailers'],
    ...Object.entries(more),
  ];
  const first = block(begin, ...fields.map((each) => insert(...each)));
  // The newest entry comes first (RFC 7541 section 2.3.3).
  const again = block(begin, ...fields.map((_, index) => field(61 + fields.length - index)));
  return Buffer.concat(
    ids(count).flatMap((id, index) => [
      headers(id, index === 0 ? first : again),
      ...(body ? data(id, body, ends) : []),
    ]),
  );
}

function data(streamId: number, body: Buffer, ends: boolean): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0; at < body.length; at += defaultMaxFrameSize) {
    const isLast = at + defaultMaxFrameSize >= body.length;
    const part = body.subarray(at, at + defaultMaxFrameSize);
    frames.push(
      frameBytes('DATA', part, { streamId, flags: isLast && ends ? Flag.END_STREAM : 0 }),
    );
  }
  return frames;
}

/** Repeats bytes. */
export function times(count: number, bytes: Buffer): Buffer {
  return Buffer.alloc(count * bytes.length, bytes);
}

/** A frame of the connection or of a stream. */
export function frameBytes(
  type: keyof typeof FrameType,
  payload: Buffer = Buffer.alloc(0),
  { streamId = 0, flags = 0 } = {},
): Buffer {
  return frameOf(FrameType[type], flags, streamId, payload);
}

/** 4 MiB of empty groups with an unknown number, as 4.1 kB of gzip. */
export function groups(): Buffer {
  const pair = new BinaryWriter().tag(15, WireType.StartGroup).tag(15, WireType.EndGroup).finish();
  return packed(gzipSync(times(most / pair.length, Buffer.from(pair))));
}

/** A request of 4 MiB for replies without a size, two bytes each. */
export function repeatedMessages(): Buffer {
  const one = new BinaryWriter().tag(repliesField, WireType.LengthDelimited).uint32(0);
  return frame(Buffer.alloc(most, one.finish()));
}

/** The field number of the replies in requests. */
const repliesField = 2;

/** A request in JSON with so many values in a map. */
export function jsonValues(count: number): Buffer {
  const entries = Array.from({ length: count }, (_, index) => [`key ${index}`, 1]);
  return Buffer.from(JSON.stringify({ counts: Object.fromEntries(entries) }));
}

/** A request with a payload of so many bytes, for a reply of as many. */
export function echoed(size: number): Buffer {
  return frame(echoRequest(Buffer.alloc(size, 'x')));
}

/** The beginning of a message of 1 MiB. */
export function partOf(size: number): Buffer {
  return frame(Buffer.alloc(MiB)).subarray(0, size);
}

/** A request with a payload of 4 MiB, compressed; one byte in `ratio` is not a repetition. */
export function bomb(ratio: number): Buffer {
  const random = createRandom(1);
  const unit = 4096;
  const chosen = Math.round(unit / ratio); // of each unit, on average
  const text = Array.from({ length: Math.floor(most / unit) }, () =>
    random.text(2 * chosen, 'abcdefghijklmnopqrstuvwxyz0123456789').padEnd(unit, 'x'),
  ).join('');
  return packed(gzipSync(echoRequest(Buffer.from(text))));
}

function echoRequest(body: Buffer): Uint8Array {
  const request = { payload: body, replies: [reply(body.length)] };
  return ScriptRequest.encode(ScriptRequest.fromPartial(request)).finish();
}

/** A request for a compressed reply of so many bytes. */
export function compressedResponse(size: number): Buffer {
  return scriptRequest({ replies: [reply(size, { compressed: true })] });
}

/** A request for several replies of so many bytes. */
export function responses(count: number, size: number): Buffer {
  return scriptRequest({ replies: Array.from({ length: count }, () => reply(size)) });
}
