import { deflateSync, gzipSync } from 'node:zlib';
import { EchoRequest } from '../echo/gen/echo.ts';
import { Flag, FrameType } from '../../src/engine/http2/frames.ts';
import type { DynamicTable } from '../../src/engine/http2/hpack/decoder.ts';
import { block, field, insert, plain } from '../hpack/blocks.ts';
import type { Random } from '../hpack/random.ts';
import { createFuzzClient, type FuzzClient } from './http2_fuzz_client.ts';
import { frameOf, post, word } from './http2_peer.ts';
import { paths } from './kinds.ts';
import { frame, packed } from './raw_client.ts';

const { END_STREAM, END_HEADERS } = Flag;
const contentType = 31;

/** A frame and its position. */
export interface FrameAt {
  type: number;
  flags: number;
  streamId: number;
  payload: Buffer;
  /** The offset of its header. */
  at: number;
}

/** The complete frames in bytes. */
export function* framesIn(bytes: Buffer): Generator<FrameAt> {
  for (let at = 0; at < bytes.length;) {
    const end = at + 9 + bytes.readUIntBE(at, 3);
    const type = bytes.readUInt8(at + 3);
    const flags = bytes.readUInt8(at + 4);
    const streamId = bytes.readUInt32BE(at + 5);
    yield { type, flags, streamId, payload: bytes.subarray(at + 9, end), at };
    at = end;
  }
}

const bomb = gzipSync(Buffer.alloc(300_000));
const notGrpc = [
  plain(contentType, 'application/json'),
  plain(contentType, 'application/grpc+json'),
  plain(contentType, ''),
  Buffer.alloc(0),
] as const;
const stray = ['/', '/echo.Echo/', '/echo.Echo/Nope', '/no.Service/X', 'x'] as const;
const known = [
  paths.unary,
  paths.serverStream,
  paths.clientStream,
  paths.bidi,
  '/echo.Ping/Ping',
  '/grpc.health.v1.Health/Check',
  '/grpc.health.v1.Health/Watch',
  '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
] as const;
const timeouts = ['1n', '100u', '5m', '1S', '99999999H', '0S', 'soon', '', '-1S'] as const;
const encodings = ['gzip', 'gzip', 'deflate', 'identity', 'brotli', ''] as const;

interface CallFuzzDeps {
  random: Random;
  /** The dynamic table after all blocks sent so far. */
  table: DynamicTable;
  /** One in so many frames has an invalid byte; 0 for none. */
  wrongOneIn: number;
}

/**
 * A client whose streams are gRPC calls, mostly valid ones, between random frames of the HTTP/2 fuzzer. Each call
 * names its stream in `x-request-id`.
 */
export function createCallFuzzClient({ random, table, wrongOneIn }: CallFuzzDeps): FuzzClient {
  const { below, oneIn, pick } = random;
  const other = createFuzzClient({ random, table, wrongOneIn: 0 });
  /** The streams that the other client has opened, by its own identifiers. */
  const others = new Map<number, number>();
  /** What the calls have still to send. */
  const sending = new Map<number, Buffer>();
  const opened: number[] = [];
  let lastId = -1;
  const moves = [open, open, goOn, goOn, goOn, goOn, reset, () => renumbered(other.say())] as const;

  return {
    say() {
      const bytes = pick(moves)();
      if (wrongOneIn > 0 && oneIn(wrongOneIn)) bytes[below(bytes.length)] = below(256);
      return bytes;
    },
    leave: () => opened.map(rst),
  };

  function open(): Buffer {
    const id = nextId();
    const flags = END_HEADERS | (oneIn(30) ? END_STREAM : 0);
    const headers = frameOf(FrameType.HEADERS, flags, id, requestBlock(id));
    if ((flags & END_STREAM) !== 0) return headers;
    sending.set(id, body());
    // Usually as clients do it: everything at once.
    return oneIn(3) ? headers : block(headers, send(id));
  }

  function nextId(): number {
    lastId += 2;
    opened.push(lastId);
    return lastId;
  }

  function requestBlock(id: number): Buffer {
    const path = plain(4, oneIn(8) ? pick(stray) : pick(known));
    const begin = oneIn(30) ? [field(2), field(6), path] : [post.subarray(0, 2), path];
    const type = oneIn(20) ? pick(notGrpc) : insert(contentType, 'application/grpc');
    const fields = [type, plain('x-request-id', `${id}`)];
    if (oneIn(2)) fields.push(plain('te', 'trailers'));
    if (oneIn(3)) fields.push(plain('grpc-timeout', pick(timeouts)));
    if (oneIn(2)) fields.push(plain('grpc-encoding', pick(encodings)));
    if (oneIn(2)) fields.push(plain('grpc-accept-encoding', 'identity, deflate ,gzip'));
    if (oneIn(4)) fields.push(insert('x-some-bin', random.text(10, 'AB+/=, ').trim()));
    if (oneIn(4))
      fields.push(
        plain(
          'x-some',
          random
            .text(10)
            .replaceAll(/[\0\r\n]/g, '')
            .trim(),
        ),
      );
    if (oneIn(40)) fields.push(plain('content-length', `${below(100)}`));
    return block(...begin, ...fields);
  }

  /** Complete or truncated messages. */
  function body(): Buffer {
    const messages = Array.from({ length: pick([0, 1, 1, 1, 2, 5]) }, message);
    const whole = block(...messages);
    return oneIn(8) ? whole.subarray(0, below(whole.length + 1)) : whole;
  }

  function message(): Buffer {
    const name = 'x'.repeat(pick([0, 1, 10, 10, 1000, 20_000]));
    const bytes = EchoRequest.encode({ text: name }).finish();
    if (oneIn(10)) return packed(oneIn(2) ? gzipSync(bytes) : deflateSync(bytes));
    if (!oneIn(15)) return frame(bytes);
    return pick([
      packed(bytes),
      packed(bomb),
      frame(Buffer.from([0xff, 0xff])),
      frame(Buffer.alloc(60_000)),
      block(Buffer.from([0]), word(2 ** 32 - 1)),
      block(Buffer.from([2]), word(0)),
      Buffer.alloc(below(500)),
      Buffer.alloc(20, 0x80),
    ]);
  }

  function goOn(): Buffer {
    const id = [...sending.keys()][below(sending.size)];
    return id === undefined ? open() : send(id);
  }

  /** A part of what a call has to send, split anywhere, or all of it. */
  function send(id: number): Buffer {
    const left = sending.get(id) ?? Buffer.alloc(0);
    const most = Math.min(left.length, 16_384);
    const length = oneIn(3) ? below(most + 1) : most;
    const rest = left.subarray(length);
    sending.set(id, rest);
    const payload = left.subarray(0, length);
    const ends = rest.length === 0 && oneIn(2);
    if (ends) sending.delete(id);
    const data = frameOf(FrameType.DATA, ends && !oneIn(4) ? END_STREAM : 0, id, payload);
    if (!ends || (data.readUInt8(4) & END_STREAM) !== 0) return data;
    const flags = END_HEADERS | END_STREAM;
    return block(data, frameOf(FrameType.HEADERS, flags, id, plain('x-end', 'yes')));
  }

  function reset(): Buffer {
    const id = oneIn(2) ? opened.at(-1) : opened[below(opened.length)];
    if (id === undefined) return open();
    sending.delete(id);
    return rst(id);
  }

  /** The other client's frames, with stream identifiers of this connection. */
  function renumbered(bytes: Buffer): Buffer {
    for (const { type, streamId, at } of framesIn(bytes)) {
      const isNew = type === FrameType.HEADERS && !others.has(streamId);
      if (isNew) others.set(streamId, nextId());
      bytes.writeUInt32BE(others.get(streamId) ?? streamId, at + 5);
    }
    return bytes;
  }
}

function rst(id: number): Buffer {
  return frameOf(FrameType.RST_STREAM, 0, id, word(8));
}
