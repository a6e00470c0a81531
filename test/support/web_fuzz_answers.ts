import assert from 'node:assert/strict';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { type DescMessage, fromBinary, fromJsonString } from '@bufbuild/protobuf';
import { Status } from 'nice-grpc-common';
import { allDescriptors } from '../echo/descriptors.ts';
import { valuesOf } from './http1_responses.ts';
import type { FuzzRequest } from './web_fuzz_requests.ts';

/** A complete response, independent of the version of HTTP. */
export interface WebAnswer {
  status: number;
  /** Names in lower case and values, alternating. */
  fields: readonly string[];
  body: Buffer;
  trailers: readonly string[];
}

/** The codes of Connect, each with its HTTP status (https://connectrpc.com/docs/protocol/#error-codes). */
const codes: Record<string, readonly [name: string, httpStatus: number]> = {
  canceled: ['CANCELLED', 499],
  unknown: ['UNKNOWN', 500],
  invalid_argument: ['INVALID_ARGUMENT', 400],
  deadline_exceeded: ['DEADLINE_EXCEEDED', 504],
  not_found: ['NOT_FOUND', 404],
  already_exists: ['ALREADY_EXISTS', 409],
  permission_denied: ['PERMISSION_DENIED', 403],
  resource_exhausted: ['RESOURCE_EXHAUSTED', 429],
  failed_precondition: ['FAILED_PRECONDITION', 400],
  aborted: ['ABORTED', 409],
  out_of_range: ['OUT_OF_RANGE', 400],
  unimplemented: ['UNIMPLEMENTED', 501],
  internal: ['INTERNAL', 500],
  unavailable: ['UNAVAILABLE', 503],
  data_loss: ['DATA_LOSS', 500],
  unauthenticated: ['UNAUTHENTICATED', 401],
};

const registry = allDescriptors();
const compressedFlag = 1;
const endStreamFlag = 2;
const trailerFlag = 0x80;

/**
 * Checks that a response is one to this request, and whole. Returns the name of the call's status; undefined if the
 * response is not of a call.
 */
export function readAnswer(request: FuzzRequest, answer: WebAnswer): string | undefined {
  checkOrigin(request, answer);
  switch (request.kind) {
    case 'page':
      checkText(request, answer, [200]);
      return undefined;
    case 'refusal':
      checkText(request, answer, request.refusals);
      return undefined;
    case 'preflight':
      assert.equal(answer.status, 204);
      assert.equal(answer.body.length, 0);
      assert.equal(only(answer.fields, 'access-control-allow-methods'), 'GET, POST');
      return undefined;
    case 'unary':
      return readUnary(request, answer);
    case 'stream':
      return readStream(request, answer);
    case 'grpc-web':
    case 'grpc-web-text':
      return readGrpcWeb(request, answer);
    case 'grpc':
      return readGrpc(request, answer);
    default:
      return assert.fail(request.kind);
  }
}

/** The only value of a field, if there is any. */
function only(fields: readonly string[], name: string): string | undefined {
  const values = valuesOf(fields, name);
  assert.ok(values.length <= 1, `${values.length} times ${name}`);
  return values[0];
}

function checkOrigin({ fields: sent }: FuzzRequest, { fields }: WebAnswer): void {
  const allowed = only(fields, 'access-control-allow-origin');
  if (allowed !== undefined) assert.equal(allowed, only(sent, 'origin'));
}

function checkText(
  { method }: FuzzRequest,
  { status, fields, body }: WebAnswer,
  statuses: readonly number[],
): void {
  assert.ok(statuses.includes(status), `${status} instead of ${statuses.join()}`);
  const type = only(fields, 'content-type');
  const hasText = method !== 'HEAD' && type !== undefined;
  if (type !== undefined) assert.match(type, /^text\/plain/);
  assert.equal(body.length > 0, hasText);
}

function readUnary(request: FuzzRequest, { status, fields, body }: WebAnswer): string {
  const type = only(fields, 'content-type');
  const encoding = only(fields, 'content-encoding');
  const plain = decoded(request, { encoding, body, accepted: 'accept-encoding' });
  if (status !== 200) {
    assert.equal(type, 'application/json');
    return readError(request, JSON.parse(plain.toString()), status);
  }
  assert.equal(type, request.isJson ? 'application/json' : 'application/proto');
  readMessage(request, plain);
  return 'OK';
}

/** Checks an error of Connect, and returns its status. */
function readError(request: FuzzRequest, error: unknown, httpStatus?: number): string {
  const { code, message = '', details = [] } = Object(error);
  const [name, own] = codes[code] ?? assert.fail(`the error ${JSON.stringify(error)}`);
  assert.equal(typeof message, 'string');
  assert.ok(Array.isArray(details));
  // A path without a method is not found.
  const isMissing = request.rpc === undefined && name === 'UNIMPLEMENTED';
  if (httpStatus !== undefined) assert.equal(httpStatus, isMissing ? 404 : own);
  return name;
}

function readStream(request: FuzzRequest, answer: WebAnswer): string {
  const { status, fields, body } = answer;
  const type = only(fields, 'content-type');
  if (status === 404 && request.rpc === undefined) {
    assert.equal(type, 'application/json');
    return readError(request, JSON.parse(body.toString()), status);
  }
  assert.equal(status, 200);
  assert.equal(type, request.isJson ? 'application/connect+json' : 'application/connect+proto');
  const encoding = only(fields, 'connect-content-encoding');
  const end = readEnvelopes(request, body, {
    endFlag: endStreamFlag,
    encoding,
    accepted: 'connect-accept-encoding',
  });
  const { error, metadata } = Object(JSON.parse(end.toString()));
  for (const values of Object.values(Object(metadata ?? {}))) assert.ok(Array.isArray(values));
  return error === undefined ? 'OK' : readError(request, error);
}

function readGrpcWeb(request: FuzzRequest, { status, fields, body }: WebAnswer): string {
  assert.equal(status, 200);
  const type = only(fields, 'content-type') ?? '';
  const sent = only(request.fields, 'content-type');
  const isAlike = request.kind === 'grpc-web' && sent === 'application/grpc-web';
  assert.equal(type, isAlike && type.endsWith('+proto') ? 'application/grpc-web+proto' : sent);
  const inHeader = only(fields, 'grpc-status');
  if (inHeader !== undefined) {
    assert.equal(body.length, 0);
    return statusIn(fields);
  }
  const bytes = request.kind === 'grpc-web-text' ? fromBase64(body) : body;
  const end = readEnvelopes(request, bytes, {
    endFlag: trailerFlag,
    encoding: only(fields, 'grpc-encoding'),
    accepted: 'grpc-accept-encoding',
  });
  const lines = end.toString('latin1').split('\r\n');
  assert.equal(lines.pop(), '');
  return statusIn(
    lines.flatMap((line) => {
      const [, name = '', value = ''] = /^([^:]+): ?(.*)$/.exec(line) ?? assert.fail(line);
      return [name.toLowerCase(), value];
    }),
  );
}

function readGrpc(request: FuzzRequest, { status, fields, body, trailers }: WebAnswer): string {
  assert.equal(status, 200);
  assert.match(only(fields, 'content-type') ?? '', /^application\/grpc(\+proto|\+json)?$/);
  if (only(fields, 'grpc-status') !== undefined) {
    assert.equal(body.length, 0);
    return statusIn(fields);
  }
  readEnvelopes(request, body, {
    endFlag: undefined,
    encoding: only(fields, 'grpc-encoding'),
    accepted: 'grpc-accept-encoding',
  });
  return statusIn(trailers);
}

function statusIn(fields: readonly string[]): string {
  const text = only(fields, 'grpc-status') ?? assert.fail(`no grpc-status in ${fields.join()}`);
  assert.match(text, /^\d+$/);
  const message = only(fields, 'grpc-message');
  if (message !== undefined) decodeURIComponent(message);
  return Status[Number(text)] ?? assert.fail(`the status ${text}`);
}

interface Enveloped {
  /** The flag of the last envelope; undefined if there is no last one. */
  endFlag: number | undefined;
  encoding: string | undefined;
  /** The field that names what the client accepts. */
  accepted: string;
}

/** Checks that a body consists of messages, and the last envelope; returns the content of that. */
function readEnvelopes(
  request: FuzzRequest,
  body: Buffer,
  { endFlag, encoding, accepted }: Enveloped,
): Buffer {
  let end: Buffer | undefined;
  for (let at = 0; at < body.length;) {
    assert.equal(end, undefined, 'something after the end');
    assert.ok(body.length >= at + 5, 'half a prefix');
    const flags = body.readUInt8(at);
    const to = at + 5 + body.readUInt32BE(at + 1);
    assert.ok(body.length >= to, 'half a message');
    const isCompressed = (flags & compressedFlag) !== 0;
    const content = decoded(request, {
      encoding: isCompressed ? (encoding ?? assert.fail('compressed with nothing')) : undefined,
      body: body.subarray(at + 5, to),
      accepted,
    });
    if (endFlag !== undefined && (flags & endFlag) !== 0) end = content;
    else {
      assert.equal(flags & ~compressedFlag, 0);
      readMessage(request, content);
    }
    at = to;
  }
  if (endFlag !== undefined) assert.ok(end, `no end of ${body.length} bytes`);
  return end ?? Buffer.alloc(0);
}

/** Decompresses a body, if the client accepts its encoding or has used it. */
function decoded(
  { fields }: FuzzRequest,
  { encoding, body, accepted }: { encoding: string | undefined; body: Buffer; accepted: string },
): Buffer {
  if (encoding === undefined || encoding === 'identity') return body;
  const used = accepted.replace('accept-', '');
  const named = [...valuesOf(fields, accepted), ...valuesOf(fields, used)].join();
  const isInQuery = named === '';
  assert.ok(isInQuery || named.includes(encoding), `${encoding} instead of ${named}`);
  if (encoding === 'gzip') return gunzipSync(body);
  assert.equal(encoding, 'br');
  return brotliDecompressSync(body);
}

/** Decodes base64 in parts, each with its own padding. */
function fromBase64(body: Buffer): Buffer {
  const text = body.toString('latin1');
  assert.match(text, /^[A-Za-z\d+/=]*$/);
  assert.equal(text.length % 4, 0, 'the length of base64');
  const parts = text.match(/[^=]+=*/g) ?? [];
  return Buffer.concat(parts.map((part) => Buffer.from(part, 'base64')));
}

function readMessage({ rpc, isJson }: FuzzRequest, bytes: Buffer): void {
  const output = outputOf(rpc ?? assert.fail('a message of an unknown method'));
  if (isJson) fromJsonString(output, bytes.toString(), { registry });
  else fromBinary(output, bytes);
}

const outputs = new Map<string, DescMessage>();

function outputOf(path: string): DescMessage {
  const known = outputs.get(path);
  if (known) return known;
  const [, service = '', name] = path.split('/');
  const method = registry.getService(service)?.methods.find((each) => each.name === name);
  const { output } = method ?? assert.fail(path);
  outputs.set(path, output);
  return output;
}
