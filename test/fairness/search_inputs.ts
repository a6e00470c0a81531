import { gzipSync } from 'node:zlib';
import { Flag } from '../../src/engine/http2/frames.ts';
import { field, insert, plain } from '../hpack/blocks.ts';
import type { Random } from '../hpack/random.ts';
import { ids } from '../http2_attacks/greeting.ts';
import { callOf, headers } from '../http2_attacks/targets.ts';
import { word } from '../support/http2_peer.ts';
import { frame, packed } from '../support/raw_client.ts';
import { compressedResponse, frameBytes, MiB, most, responses, times } from './bytes.ts';

/** The parameters of an input, which can be varied one by one. */
export interface Input {
  /** The number of connections that send it at once. */
  connections: number;
  path: string;
  calls: number;
  /** Per call. */
  messages: number;
  /** The names of a message's contents, and of additional header fields. */
  payload: string;
  fields: string;
  /** The approximate size of a message before compression, in bytes. */
  size: number;
  isZipped: boolean;
  /** The size of a DATA frame in bytes. */
  frameSize: number;
  /** What follows the messages. */
  end: 'END_STREAM' | 'RST_STREAM' | 'nothing';
  /** True if the client grants windows for responses. */
  reads: boolean;
}

const maxConnections = 40;
/** The maximum bytes of a connection, as the search is for high costs per byte. */
const maxBytes = 256 * 1024;
/** The maximum bytes of a header list, without the mandatory fields. */
const maxFields = 15 * 1024;

const repeated = (...bytes: number[]) => {
  const pattern = Buffer.from(bytes);
  return (size: number) => times(Math.ceil(size / pattern.length), pattern);
};

/** Message contents by name; fields 1, 2 and 3 are those of most requests. */
const payloads: Record<string, (size: number) => Buffer> = {
  zeros: (size) => Buffer.alloc(size),
  text: (size) => string(1, Buffer.alloc(size, 'x')),
  'invalid UTF-8': (size) => string(1, Buffer.alloc(size, 0xff)),
  'text of two bytes': (size) => string(1, Buffer.alloc(size & ~1, 'é')),
  'text in text': (size) => string(2, string(2, Buffer.alloc(size, 'x'))),
  'empty unknown groups': repeated(0x7b, 0x7c),
  'nested groups': (size) =>
    Buffer.concat([Buffer.alloc(size / 2, 0x7b), Buffer.alloc(size / 2, 0x7c)]),
  'groups 90 deep': (size) =>
    times(Math.ceil(size / 180), Buffer.concat([Buffer.alloc(90, 0x7b), Buffer.alloc(90, 0x7c)])),
  'field 1, empty': repeated(0x0a, 0),
  'field 2, empty': repeated(0x12, 0),
  'field 3, empty': repeated(0x1a, 0),
  'messages in field 2': repeated(0x12, 2, 0x08, 1),
  'messages in field 3': repeated(0x1a, 2, 0x08, 1),
  'field 1, a number': repeated(0x08, 1),
  'unknown number': repeated(0x78, 1),
  'unknown bytes, empty': repeated(0x7a, 0),
  'unknown fixed32': repeated(0x7d, 0, 0, 0, 0),
  'unknown long number': repeated(0x78, ...Array.from({ length: 9 }, () => 0xff), 1),
  'endless number': repeated(0xff),
  'many small responses': (size) => responses(clamp(size / 4, 1, 1000), 1).subarray(5),
  'large responses': (size) => responses(clamp(size / 8, 1, 16), MiB).subarray(5),
  'compressed response': (size) => compressedResponse(clamp(size, 1, most)).subarray(5),
};

/** Header fields by name. */
const fields: Record<string, () => Buffer[]> = {
  none: () => [],
  'many tiny': () => Array.from({ length: 400 }, (_, i) => plain(i.toString(36), '')),
  'one large': () => [plain('x', 'x'.repeat(maxFields))],
  'large binary': () => [plain('x-bin', ','.repeat(maxFields))],
  'user-agent': () => [plain('user-agent', 'x'.repeat(maxFields))],
  timeout: () => [plain('grpc-timeout', '1m')],
  traceparent: () => [plain('traceparent', `00-${'1'.repeat(32)}-${'1'.repeat(16)}-01`)],
  'echoed metadata': () => [plain('x-grpc-test-echo-initial', 'x'.repeat(6000))],
  indexed: () => [insert('x', 'x'.repeat(3000)), ...Array.from({ length: 4 }, () => field(62))],
  evicting: () => Array.from({ length: 40 }, (_, i) => insert(`x${i}`, 'x'.repeat(300))),
};

const frameSizes = [1, 5, 100, 16_384] as const;
const ends = ['END_STREAM', 'RST_STREAM', 'nothing'] as const;
const flips = [true, false] as const;

/** A random input for one of these methods. */
export function anyInput(random: Random, methods: readonly string[]): Input {
  const scale = (limit: number) => Math.ceil(limit ** (random.below(1001) / 1000));
  return {
    connections: random.oneIn(2) ? 1 : Math.ceil(maxConnections ** (random.below(1001) / 1000)),
    path: oneOf(random, methods),
    calls: scale(1000),
    messages: random.oneIn(2) ? 1 : scale(1000),
    payload: oneOf(random, Object.keys(payloads)),
    fields: random.oneIn(2) ? 'none' : oneOf(random, Object.keys(fields)),
    size: random.pick([0, 0, most, most, scale(most), scale(most)]),
    isZipped: random.oneIn(2),
    frameSize: random.oneIn(2) ? 16_384 : random.pick(frameSizes),
    end: random.oneIn(2) ? 'END_STREAM' : random.pick(ends),
    reads: !random.oneIn(4),
  };
}

/** A copy with some parameters of another input. */
export function changed(random: Random, input: Input, methods: readonly string[]): Input {
  const other = anyInput(random, methods);
  const keep = () => !random.oneIn(4);
  return {
    connections: keep() ? input.connections : other.connections,
    path: keep() ? input.path : other.path,
    calls: keep() ? input.calls : other.calls,
    messages: keep() ? input.messages : other.messages,
    payload: keep() ? input.payload : other.payload,
    fields: keep() ? input.fields : other.fields,
    size: keep() ? input.size : other.size,
    isZipped: keep() ? input.isZipped : random.pick(flips),
    frameSize: keep() ? input.frameSize : other.frameSize,
    end: keep() ? input.end : other.end,
    reads: keep() ? input.reads : other.reads,
  };
}

/** The frames of one connection with as many calls and messages as fit, and the number of calls. */
export function bytesOf(input: Omit<Input, 'connections'>): { bytes: Buffer; calls: number } {
  const { path, isZipped, frameSize, end } = input;
  const message = Buffer.from(payloads[input.payload]?.(input.size) ?? []);
  const whole = isZipped ? packed(gzipSync(message.subarray(0, most))) : frame(message);
  const framed = (size: number) => size + Math.ceil(size / frameSize) * 9;
  const room = clamp(maxBytes / framed(whole.length), 1, input.messages);
  const body = times(room, whole).subarray(0, maxBytes);
  const encoding = isZipped ? { 'grpc-encoding': 'gzip', 'grpc-accept-encoding': 'gzip' } : {};
  const block = Buffer.concat([callOf(path, encoding), ...(fields[input.fields]?.() ?? [])]);
  const one = (streamId: number): Buffer[] => [
    headers(streamId, block),
    ...data(streamId, body, { frameSize, isLast: end === 'END_STREAM' }),
    ...(end === 'RST_STREAM' ? [frameBytes('RST_STREAM', word(8), { streamId })] : []),
  ];
  const each = Buffer.concat(one(1)).length;
  const count = clamp(maxBytes / each, 1, input.calls);
  return { bytes: Buffer.concat(ids(count).flatMap(one)), calls: count };
}

function data(
  streamId: number,
  body: Buffer,
  { frameSize, isLast }: { frameSize: number; isLast: boolean },
): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0; at === 0 || at < body.length; at += frameSize) {
    const ends = isLast && at + frameSize >= body.length;
    const flags = ends ? Flag.END_STREAM : 0;
    frames.push(frameBytes('DATA', body.subarray(at, at + frameSize), { streamId, flags }));
  }
  return frames;
}

function string(number: number, bytes: Buffer): Buffer {
  const length = [];
  let rest = bytes.length;
  for (; rest > 127; rest >>>= 7) length.push((rest & 127) | 128);
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...length, rest]), bytes]);
}

function oneOf(random: Random, from: readonly string[]): string {
  return from[random.below(from.length)] ?? '';
}

function clamp(value: number, least: number, largest: number): number {
  return Math.max(least, Math.min(largest, Math.floor(value)));
}
