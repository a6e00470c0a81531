import { type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { hash } from 'node:crypto';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { ServerReflectionRequest } from '../../src/gen/grpc/reflection/v1/reflection.ts';
import { OrcaLoadReportRequest } from '../../src/gen/xds/service/orca/v3/orca.ts';
import { field, insert, plain } from '../hpack/blocks.ts';
import { callOf } from '../http2_attacks/targets.ts';
import { allDescriptors } from '../echo/descriptors.ts';
import { EchoRequest, ScriptRequest } from '../echo/gen/echo.ts';
import { echoedHeader } from '../echo/script.ts';
import { frame, packed } from '../support/raw_client.ts';
import { reply, scriptRequest } from '../support/script.ts';

/** A call of an attacker. */
export interface Shape {
  /** The header block of its request. */
  block: Buffer;
  /** A header block that must precede it on the same connection: it fills the dynamic table. */
  first?: Buffer;
  /** The body: framed messages. */
  body: Buffer;
}

/** A method with its path and types. */
export interface Attacked {
  path: string;
  /** True for a request stream. */
  requestStream: boolean;
  /** Its own payloads, by name. */
  shapes?: Readonly<Record<string, readonly Shape[]>>;
}

/** Messages of a type, each of about so many bytes. */
type Body = (type: DescMessage, size: number) => readonly Uint8Array[];

const MiB = 1024 * 1024;
/** Almost the maximum size, with room for the envelope. */
export const most = 4 * MiB - 1024;
/** The messages of one call of a request stream. */
const messages = 8;
/** The maximum number of shapes of a kind, which differ in the field that they fill. */
const maxFields = 4;

/** The bodies that every method gets, by name. */
const bodies = {
  plain: (type, size) => stringsOf(type, size, 'x'),
  gzip: (type, size) => stringsOf(type, size, 'x'),
  'invalid UTF-8': (type, size) => stringsOf(type, size, Buffer.from([0xff])),
  'empty groups': (type, size) =>
    inEach(type, Buffer.alloc(size, Buffer.concat([startGroup, endGroup]))),
  'repeated field': repeatedFields,
  nesting: (type, size) => depths(size).flatMap((depth) => inEach(type, nested(size, depth))),
} satisfies Record<string, Body>;

/** The payloads that every method gets. */
export const payloads = [...Object.keys(bodies), 'metadata'];

const registry = allDescriptors();

/** The shapes of a payload for a method, with messages of about so many bytes; calls use them in turn. */
export function shapesOf(method: Attacked, payload: string, size = most): readonly Shape[] {
  const own = method.shapes?.[payload];
  if (own) return own;
  const special = specials[payload];
  if (special) return special(method.path);
  if (payload === 'metadata') return metadata(method.path);
  const [, made] = Object.entries(bodies).find(([name]) => name === payload) ?? [];
  if (!made) throw new Error(`Cannot make this payload: "${payload}"`);
  const all = made(requestType(method.path), size).map((bytes) => Buffer.from(bytes));
  const identity = callOf(method.path);
  const whole = (message: Buffer): Shape => ({
    block: identity,
    body: repeat(frame(message), method.requestStream ? 2 : 1),
  });
  if (payload === 'plain') return all.map(whole);
  const few = all.map((message, index) => ({
    block: callOf(method.path, index % 2 ? zipped : zippedBoth),
    body: repeat(zip(message), method.requestStream ? messages : 1),
  }));
  // Compressed messages are the most effective; one in so many is sent uncompressed.
  return payload === 'gzip' ? few : [...few, ...few, ...all.slice(0, 1).map(whole)];
}

/** The header field of calls with compressed messages. */
export const zipped = { 'grpc-encoding': 'gzip' };
const zippedBoth = { ...zipped, 'grpc-accept-encoding': 'gzip' };

function requestType(path: string): DescMessage {
  const [, service = '', name] = path.split('/');
  const method = registry.getService(service)?.methods.find((each) => each.name === name);
  if (!method) throw new Error(`Cannot find the method "${path}" among the descriptors`);
  return method.input;
}

const zips = new Map<string, Buffer>();

/** A compressed message with its prefix. Cached, as many methods get the same message. */
export function zip(message: Buffer): Buffer {
  const key = hash('sha1', message);
  const done = zips.get(key) ?? packed(gzipSync(message));
  zips.set(key, done);
  return done;
}

/** Repeats bytes. */
export function repeat(bytes: Buffer, count: number): Buffer {
  return Buffer.concat(Array.from({ length: count }, () => bytes));
}

/** A nested field with these numbers, from the outermost message in. */
export function at(path: readonly number[], bytes: Uint8Array): Uint8Array {
  return path.reduceRight(
    (inner, number) =>
      new BinaryWriter().tag(number, WireType.LengthDelimited).bytes(inner).finish(),
    bytes,
  );
}

/** All strings of a message filled at once, and each alone; without strings, an unknown field. */
function stringsOf(type: DescMessage, size: number, fill: string | Buffer): Uint8Array[] {
  const found = leavesOf(type);
  const leaves = found.length > 0 ? found : [[1]];
  const part = Math.floor(size / leaves.length);
  const all = Buffer.concat(leaves.map((path) => at(path, Buffer.alloc(part, fill))));
  if (leaves.length === 1) return [all];
  return [all, ...leaves.slice(0, maxFields).map((path) => at(path, Buffer.alloc(size, fill)))];
}

/** The paths of strings and bytes fields, and of nested messages. */
function leavesOf(type: DescMessage, above: readonly DescMessage[] = []): number[][] {
  if (above.includes(type)) return [];
  return type.fields.flatMap((field) => {
    const { number } = field;
    const isText = field.scalar === ScalarType.STRING || field.scalar === ScalarType.BYTES;
    if (field.fieldKind === 'map') return [[number, 1]];
    if (isText) return [[number]];
    return below(field, [...above, type]).map((path) => [number, ...path]);
  });
}

function below(field: DescField, above: readonly DescMessage[]): number[][] {
  return field.message ? leavesOf(field.message, above) : [];
}

/** Two bytes repeated, each an element, a message, or a string. */
function repeatedFields(type: DescMessage, size: number): Uint8Array[] {
  const found = type.fields.flatMap((field) => elementsOf(field));
  const many = found.length > 0 ? found : [Buffer.from([0x0a, 0])];
  const whole = many.map((pair) => Buffer.alloc(size, pair));
  const inside = type.fields.flatMap(({ number, message, fieldKind }) => {
    if (fieldKind !== 'message' || !message) return [];
    const [first] = message.fields.flatMap((field) => elementsOf(field));
    return first ? [at([number], Buffer.alloc(size, first))] : [];
  });
  return [...whole.slice(0, maxFields), ...inside.slice(0, maxFields)];
}

function elementsOf({ fieldKind, number, scalar }: DescField): Buffer[] {
  // A tag of two bytes makes it three.
  if (number > 15) return [];
  const isText = scalar === ScalarType.STRING || scalar === ScalarType.BYTES;
  const isNumber = (fieldKind === 'scalar' || fieldKind === 'list') && !isText && scalar;
  if (fieldKind === 'enum' || isNumber) return [Buffer.from([number << 3, 0])];
  return [Buffer.from([(number << 3) | WireType.LengthDelimited, 0])];
}

const startGroup = Buffer.from([(15 << 3) | WireType.StartGroup]);
const endGroup = Buffer.from([(15 << 3) | WireType.EndGroup]);
/** Depths of nested groups: the maximum, the limit of the decoder, and far above its stack. */
function depths(size: number): number[] {
  return [size / 2, 90, Math.min(size / 2, 20_000)];
}

/** Groups nested to a depth, repeated. */
function nested(size: number, depth: number): Buffer {
  const pile = Buffer.concat([Buffer.alloc(depth, startGroup), Buffer.alloc(depth, endGroup)]);
  return Buffer.alloc(size - (size % pile.length), pile);
}

/** These fields in a message, and in its first nested message. */
function inEach(type: DescMessage, fields: Buffer): Uint8Array[] {
  const inner = type.fields.find(({ fieldKind }) => fieldKind === 'message');
  return inner ? [fields, at([inner.number], fields)] : [fields];
}

/** The limit, without the mandatory fields. */
const maxMetadata = 15 * 1024;
/** Some tables accept entries of 4,096 bytes in total. */
const maxIndexed = 4000;

/** Header lists of the maximum size, on calls without a body. */
function metadata(path: string): Shape[] {
  const body = frame(Buffer.alloc(0));
  const tiny = Array.from({ length: 400 }, (_, i) => plain(i.toString(36), ''));
  const fields: Record<string, string>[] = [
    { [echoedHeader]: 'x'.repeat(6000) },
    { 'x-one': 'x'.repeat(maxMetadata) },
    { 'x-many-bin': ','.repeat(maxMetadata) },
    { 'x-request-id': 'x'.repeat(maxMetadata) },
    { 'user-agent': 'x'.repeat(maxMetadata) },
    { traceparent: 'x'.repeat(maxMetadata) },
    { ...zipped, 'grpc-accept-encoding': `a${' '.repeat(maxMetadata)}a` },
  ];
  return [
    indexed(path, echoedHeader, 3),
    { block: Buffer.concat([callOf(path), ...tiny]), body },
    ...fields.map((each) => ({ block: callOf(path, each), body })),
  ];
}

/** The index of the newest entry (RFC 7541 section 2.3.3). */
const firstIndex = 62;

/** A call with a field of the dynamic table, as many times. */
export function indexed(path: string, name: string, times: number): Shape {
  const entry = insert(name, 'x'.repeat(maxIndexed - name.length - 32));
  const again = Array.from({ length: times }, () => field(firstIndex));
  return {
    block: Buffer.concat([callOf(path), ...again]),
    first: Buffer.concat([callOf(path), entry]),
    body: frame(Buffer.alloc(0)),
  };
}

/** Compressed requests whose status, the field with this number, has a message of 4 MiB. */
export function statuses(path: string, number: number): Shape[] {
  return [Buffer.from([0xff]), 'x', 'é', '\n'].map((text) => {
    const [code, message] = [Buffer.from([1 << 3, 2]), at([2], Buffer.alloc(most, text))];
    const body = zip(Buffer.from(at([number], Buffer.concat([code, message]))));
    return { block: callOf(path, zipped), body };
  });
}

/** The field number of the status in requests of echo.Script. */
const statusField = 3;

/** Additional payloads of single methods. */
const specials: Record<string, (path: string) => readonly Shape[]> = {
  'a status of 4 MiB': (path) => statuses(path, statusField),

  '4 MiB in JSON': (path) => {
    const text = JSON.stringify({ payload: 'A'.repeat(most), replies: [{ size: most }] });
    const block = callOf(path, { 'content-type': 'application/json' });
    return [
      { block, body: Buffer.from(text).subarray(0, most) },
      { block, body: Buffer.from(text) },
    ];
  },

  '4 MiB in gRPC-Web': (path) => {
    const request = ScriptRequest.fromPartial({
      payload: Buffer.alloc(most - 100, 'x'),
      replies: [reply(most)],
    });
    const message = Buffer.from(ScriptRequest.encode(request).finish());
    const typed = { 'content-type': 'application/grpc-web+proto' };
    return [
      { block: callOf(path, typed), body: frame(message) },
      { block: callOf(path, { ...typed, ...zipped }), body: zip(message) },
    ];
  },

  '4 MiB in a stream of Connect': (path) => {
    const message = Buffer.from(EchoRequest.encode({ text: 'x'.repeat(most - 100) }).finish());
    const typed = { 'content-type': 'application/connect+proto' };
    const compressed = { ...typed, 'connect-content-encoding': 'br' };
    return [
      { block: callOf(path, compressed), body: repeat(packed(brotliCompressSync(message)), 20) },
      { block: callOf(path, typed), body: repeat(frame(message), 5) },
    ];
  },

  'nothing yet, in a stream of Connect': (path) => [
    { block: callOf(path, { 'content-type': 'application/connect+proto' }), body: Buffer.alloc(1) },
  ],

  'a status behind a response': (path) => {
    const requests = [
      { replies: [reply(1)] },
      { status: { code: 2, message: 'x'.repeat(4096) } },
    ].map((request) => scriptRequest(request));
    return [{ block: callOf(path), body: Buffer.concat(requests) }];
  },

  'requests that are kept': (path) => {
    const request = EchoRequest.encode({ text: 'x'.repeat(most) });
    const message = zip(Buffer.from(request.finish()));
    return [{ block: callOf(path, zipped), body: repeat(message, 500) }];
  },

  'a host that is no UTF-8': (path) => {
    const body = zip(Buffer.from(at([1], Buffer.alloc(most, 0xff))));
    return [{ block: callOf(path, zipped), body }];
  },

  questions: (path) => {
    const fileContainingSymbol = 'xds.service.orca.v3.OpenRcaService';
    const request = ServerReflectionRequest.fromPartial({ fileContainingSymbol });
    const message = frame(ServerReflectionRequest.encode(request).finish());
    return [{ block: callOf(path), body: repeat(message, 1000) }];
  },

  'a report every 10 ms': (path) => {
    const reportInterval = { seconds: 0, nanos: 10_000_000 };
    const request = OrcaLoadReportRequest.fromPartial({ reportInterval });
    const body = frame(OrcaLoadReportRequest.encode(request).finish());
    return [{ block: callOf(path), body }];
  },

  'responses of 4 MiB': (path) => {
    const replies = Array.from({ length: 16 }, () => reply(4 * MiB - 64));
    return [{ block: callOf(path), body: scriptRequest({ replies }) }];
  },

  'metadata that is returned': (path) => [indexed(path, echoedHeader, 1)],
};
