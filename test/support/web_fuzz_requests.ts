import { brotliCompressSync, gzipSync } from 'node:zlib';
import { EchoRequest } from '../echo/gen/echo.ts';
import type { Random } from '../hpack/random.ts';
import { paths } from './kinds.ts';
import { frame, packed } from './raw_client.ts';

/** How a request is answered: by a protocol of calls, by a page, or by a refusal without a call. */
export type AnswerKind =
  | 'unary'
  | 'stream'
  | 'grpc-web'
  | 'grpc-web-text'
  | 'grpc'
  | 'page'
  | 'preflight'
  | 'refusal';

/** What the request is worth: a broken one cannot succeed; of an unsure one, nothing is known. */
export type Quality = 'valid' | 'broken' | 'unsure';

/** A request, independent of the version of HTTP. */
export interface FuzzRequest {
  /** The value of `x-request-id`, which is a number for the service. */
  id: string;
  method: string;
  path: string;
  /** Names in lower case and values, alternating, without those that frame the body. */
  fields: string[];
  body: Buffer;
  kind: AnswerKind;
  quality: Quality;
  /** The path of the method; undefined if there is no such method. */
  rpc: string | undefined;
  isJson: boolean;
  /** The status codes of a refusal. */
  refusals: readonly number[];
  /** The timeout in milliseconds. */
  timeout: number | undefined;
}

/** The maximum message that the server accepts, in bytes. */
export const maxMessageSize = 50_000;

/** The origin whose pages may call. */
export const allowedOrigin = 'https://a.example';

type Version = '1.1' | '2';
/** A part of a body, and its quality. */
type Part = readonly [bytes: Buffer, quality: Quality];

const bombs = {
  gzip: gzipSync(Buffer.alloc(300_000, ' ')),
  br: brotliCompressSync(Buffer.alloc(300_000, ' ')),
} as const;
const compress = {
  gzip: (bytes: Buffer) => gzipSync(bytes, { level: 1 }),
  br: (bytes: Buffer) => brotliCompressSync(bytes, { params: { 1: 1 } }),
} as const;
const sayHello = '/helloworld.Greeter/SayHello';
const watch = '/grpc.health.v1.Health/Watch';
const reflection = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo';
const unaryPaths = [
  paths.unary,
  paths.unary,
  paths.unary,
  '/echo.Ping/Ping',
  '/grpc.health.v1.Health/Check',
  sayHello,
] as const;
const streamPaths = [paths.serverStream, paths.clientStream] as const;
const bidiPaths = [paths.bidi, paths.bidi, reflection] as const;
const acceptable = ['gzip', 'br', 'br, gzip', 'identity', 'deflate, zstd', '*', ''] as const;
/** A timeout as written, and its milliseconds; an invalid one has none. */
type Timeout = readonly [text: string, ms: number | undefined];
const connectTimeouts: readonly [Timeout, ...Timeout[]] = [
  ['0', 0],
  ['1', 1],
  ['100', 100],
  ['5000', 5000],
  ['86400000', 86_400_000],
  ['9999999999', 9_999_999_999],
  ['99999999999', undefined],
  ['soon', undefined],
  ['-1', undefined],
  ['', undefined],
];
const grpcTimeouts: readonly [Timeout, ...Timeout[]] = [
  ['1n', 0],
  ['100u', 0.1],
  ['5m', 5],
  ['1S', 1000],
  ['5M', 300_000],
  ['99999999H', 3.6e14],
  ['soon', undefined],
  ['-1S', undefined],
];

interface RequestsDeps {
  random: Random;
  version: Version;
  /** Returns the next value of `x-request-id`. */
  nextId: () => string;
}

/** Creates random requests of all kinds, mostly valid ones. */
export function createFuzzRequests({ random, version, nextId }: RequestsDeps): () => FuzzRequest {
  const { below, oneIn, pick } = random;
  const kinds = [
    unary,
    unary,
    unary,
    stream,
    stream,
    grpcWeb,
    grpcWeb,
    grpcWebText,
    get,
    preflight,
    page,
    odd,
    odd,
    ...(version === '2' ? [grpc] : []),
  ] as const;

  return () => {
    const made = kinds[below(kinds.length)] ?? unary;
    return made();
  };

  // Calls.

  function unary(): FuzzRequest {
    const isJson = oneIn(2);
    const json = [
      'application/json',
      'application/json; charset=utf-8',
      'Application/JSON',
    ] as const;
    const type = isJson ? pick(json) : 'application/proto';
    const [body, quality] = message(isJson);
    const request = call({ kind: 'unary', type, path: pick(unaryPaths), isJson, body, quality });
    if (oneIn(2)) request.fields.push('connect-protocol-version', '1');
    addTimeout(request, 'connect-timeout-ms');
    if (oneIn(3)) encode(request);
    if (oneIn(3)) request.fields.push('accept-encoding', pick(acceptable));
    return request;
  }

  function stream(): FuzzRequest {
    const isJson = oneIn(2);
    const type = isJson ? 'application/connect+json' : 'application/connect+proto';
    const request = enveloped({
      kind: 'stream',
      type,
      isJson,
      encodingName: 'connect-content-encoding',
    });
    if (oneIn(3)) request.fields.push('connect-accept-encoding', pick(acceptable));
    addTimeout(request, 'connect-timeout-ms');
    return request;
  }

  function grpcWeb(): FuzzRequest {
    const isJson = oneIn(4);
    const binary = ['application/grpc-web', 'application/grpc-web+proto'] as const;
    const type = isJson ? 'application/grpc-web+json' : pick(binary);
    const request = enveloped({ kind: 'grpc-web', type, isJson, encodingName: 'grpc-encoding' });
    if (oneIn(2)) request.fields.push('x-grpc-web', '1');
    if (oneIn(3)) request.fields.push('grpc-accept-encoding', pick(acceptable));
    addTimeout(request, 'grpc-timeout');
    return request;
  }

  function grpcWebText(): FuzzRequest {
    const types = ['application/grpc-web-text', 'application/grpc-web-text+proto'] as const;
    const request = enveloped({
      kind: 'grpc-web-text',
      type: pick(types),
      isJson: false,
      encodingName: 'grpc-encoding',
    });
    request.body = inBase64(request.body);
    addTimeout(request, 'grpc-timeout');
    return request;
  }

  /** The engine serves gRPC itself, except for JSON and Brotli. */
  function grpc(): FuzzRequest {
    const encodingName = 'grpc-encoding';
    const isJson = !oneIn(4);
    const type = isJson ? 'application/grpc+json' : 'application/grpc';
    const about = { kind: 'grpc', type, isJson, encodingName } as const;
    const request = enveloped(isJson ? about : { ...about, encoding: 'br' });
    request.fields.push('te', 'trailers');
    addTimeout(request, 'grpc-timeout');
    return request;
  }

  function get(): FuzzRequest {
    const isJson = oneIn(2);
    const query = new URLSearchParams({ connect: 'v1', encoding: isJson ? 'json' : 'proto' });
    const [plain, first] = message(isJson);
    let bytes = plain.length > 2000 ? plain.subarray(0, 0) : plain;
    // The empty message is valid only in protobuf.
    const quality = bytes === plain ? first : 'unsure';
    if (oneIn(3)) {
      const name = pick(['gzip', 'br'] as const);
      bytes = compress[name](bytes);
      query.set('compression', name);
      query.set('base64', '1');
    } else if (!isJson || oneIn(3)) query.set('base64', '1');
    const inText = query.has('base64') ? bytes.toString('base64url') : bytes.toString();
    query.set('message', inText);
    const about = { kind: 'unary', isJson, method: 'GET', body: Buffer.alloc(0) } as const;
    const request = call({ ...about, path: sayHello, quality });
    request.path += `?${query.toString()}`;
    // The greeter may refuse a name.
    if (quality === 'valid') request.quality = 'unsure';
    addTimeout(request, 'connect-timeout-ms');
    return request;
  }

  /** A call of a method; `type` is its content type. */
  function call({
    type,
    method = 'POST',
    path,
    quality,
    ...more
  }: Pick<FuzzRequest, 'kind' | 'path' | 'isJson' | 'body' | 'quality'> & {
    type?: string;
    method?: string;
  }): FuzzRequest {
    const request = { ...base(), ...more, method, path, rpc: path, quality };
    if (type !== undefined) request.fields.push('content-type', type);
    // Others read the same messages as messages of their own, and may refuse them.
    if (!path.startsWith('/echo.') && quality === 'valid') request.quality = 'unsure';
    if (oneIn(12)) makeUnknown(request);
    return request;
  }

  function makeUnknown(request: FuzzRequest): void {
    const stray = ['/echo.Echo/', '/echo.Echo/Nope', '/no.Service/X', '//', '/%00'] as const;
    // The last part differs each time.
    request.path = oneIn(3) ? `${request.path}/${random.text(8, 'abc')}` : pick(stray);
    request.rpc = undefined;
    request.quality = 'broken';
  }

  function enveloped({
    kind,
    type,
    isJson,
    encodingName,
    encoding = oneIn(3) ? pick(['gzip', 'br', 'identity', 'deflate', ''] as const) : undefined,
  }: Pick<FuzzRequest, 'kind' | 'isJson'> & {
    type: string;
    encodingName: string;
    encoding?: string | undefined;
  }): FuzzRequest {
    const isUnary = kind !== 'stream' && oneIn(2);
    const isBidi = version === '2' && !isUnary && oneIn(3);
    const isWatch = !isUnary && oneIn(30);
    const path = isUnary ? pick(unaryPaths) : isBidi ? pick(bidiPaths) : pick(streamPaths);
    const isSingle = isUnary || isWatch || path === paths.serverStream;
    const count = isSingle ? (oneIn(30) ? pick([0, 2]) : 1) : pick([0, 1, 1, 2, 5]);
    const parts = Array.from({ length: count }, () => envelope(isJson, encoding));
    let body = Buffer.concat(parts.map(([bytes]) => bytes));
    let quality = worst(parts.map(([, each]) => each));
    if (encoding === 'deflate' || encoding === '') quality = 'broken';
    // One of them may be no message.
    if (isSingle && count !== 1 && quality === 'valid') quality = 'broken';
    if (body.length > 0 && oneIn(25)) {
      body = body.subarray(0, below(body.length));
      quality = count === 1 ? 'broken' : 'unsure';
    }
    // The service may not read all of a stream.
    if (!isSingle && quality === 'broken') quality = 'unsure';
    const request = call({ kind, type, path: isWatch ? watch : path, isJson, body, quality });
    if (encoding !== undefined) request.fields.push(encodingName, encoding);
    // A watcher waits forever.
    if (isWatch && kind === 'stream') setTimeoutTo(request, 'connect-timeout-ms', ['100', 100]);
    else if (isWatch) setTimeoutTo(request, 'grpc-timeout', ['5m', 5]);
    return request;
  }

  function envelope(isJson: boolean, encoding: string | undefined): Part {
    const [bytes, quality] = message(isJson);
    if ((encoding === 'gzip' || encoding === 'br') && oneIn(2)) {
      const [coded, codedQuality] = withCoding(encoding, bytes);
      return [packed(coded), worst([quality, codedQuality])];
    }
    if (!oneIn(40)) return [frame(bytes), quality];
    return pick<Part>([
      [frame(Buffer.alloc(maxMessageSize + 1)), 'broken'],
      [Buffer.from([0, 0xff, 0xff, 0xff, 0xff]), 'broken'],
      [packed(bytes), 'unsure'],
      [Buffer.concat([Buffer.from([2, 0, 0, 0, 0]), frame(bytes)]), 'unsure'],
      [Buffer.from([0x80, 0, 0, 0, 0]), 'unsure'],
      [Buffer.alloc(1 + below(20), 0xff), 'broken'],
    ]);
  }

  /** Compresses a whole body. */
  function encode(request: FuzzRequest): void {
    const name = pick(['gzip', 'gzip', 'br', 'br', 'identity', 'deflate', ''] as const);
    request.fields.push('content-encoding', name);
    if (name === 'identity') return;
    if (name === 'deflate' || name === '') request.quality = 'broken';
    else {
      const [coded, quality] = withCoding(name, request.body);
      request.body = coded;
      request.quality = worst([request.quality, quality]);
    }
  }

  function withCoding(name: 'gzip' | 'br', bytes: Buffer): Part {
    const coded = compress[name](bytes);
    if (!oneIn(12)) return [coded, 'valid'];
    return pick<Part>([
      [coded.subarray(0, 1 + below(coded.length - 1)), coded.length > 1 ? 'broken' : 'valid'],
      [bombs[name], 'broken'],
      [Buffer.alloc(10, 0xff), 'broken'],
    ]);
  }

  // Messages.

  function message(isJson: boolean): Part {
    if (isJson) return json();
    const text = 'x'.repeat(pick([0, 1, 10, 10, 1000, 20_000]));
    if (!oneIn(20)) return [Buffer.from(EchoRequest.encode({ text }).finish()), 'valid'];
    return pick<Part>([
      [Buffer.from([0xff, 0xff]), 'broken'],
      [Buffer.from([0x0a, 5, 0x61]), 'broken'],
      [Buffer.from([0x0a, 2, 0xff, 0xfe]), 'unsure'],
      [Buffer.from([0x10, 1, 0x0a, 1, 0x61]), 'valid'],
      [Buffer.alloc(below(30), 0x80), 'unsure'],
      [Buffer.from(EchoRequest.encode({ text: 'x'.repeat(60_000) }).finish()), 'broken'],
    ]);
  }

  function json(): Part {
    const text = JSON.stringify('x'.repeat(pick([0, 1, 10, 10, 1000, 20_000])));
    const usual = [
      `{"text":${text}}`,
      `{"text":${text}}`,
      `{}`,
      `{ "text" : ${text} }\r\n`,
    ] as const;
    if (!oneIn(10)) return [Buffer.from(pick(usual)), 'valid'];
    const depth = pick([20, 90]);
    return pick<Part>([
      [Buffer.from('{"__proto__":{"text":"y"},"text":"x"}'), 'valid'],
      [Buffer.from('{"constructor":{"prototype":1},"text":"x"}'), 'valid'],
      [Buffer.from('{"text":"a","text":"b"}'), 'unsure'],
      [Buffer.from('{"text":null,"more":[1e400,-1e400,123456789012345678901234567890]}'), 'unsure'],
      [Buffer.from(`{"more":${'['.repeat(depth)}${']'.repeat(depth)}}`), 'valid'],
      [Buffer.from('{"text":"\\ud800"}'), 'unsure'],
      [Buffer.from('{"text":"\\ud83d\\ude00é"}'), 'valid'],
      [Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 1, 0x7d]), 'broken'],
      [Buffer.from(`{"more":${'['.repeat(50_000)}`), 'broken'],
      [Buffer.from(`{"more":[${'0,'.repeat(11_000)}0]}`), 'broken'],
      [Buffer.from('{"text":1e999}'), 'unsure'],
      [Buffer.from('{"text":"a"'), 'broken'],
      [Buffer.from('{"text":"a"} {'), 'broken'],
      [Buffer.from('null'), 'broken'],
      [Buffer.from('[]'), 'broken'],
      [Buffer.alloc(0), 'broken'],
    ]);
  }

  /** Encodes bytes in parts, each with its own padding, which may be missing at the end. */
  function inBase64(bytes: Buffer): Buffer {
    const at = oneIn(2) ? below(bytes.length + 1) : 0;
    const parts = [bytes.subarray(0, at), bytes.subarray(at)];
    const text = parts.map((part) => part.toString('base64')).join('');
    return Buffer.from(oneIn(5) ? text.replace(/=+$/, '') : text);
  }

  // Everything else.

  function preflight(): FuzzRequest {
    const isAllowed = !oneIn(4);
    const kind = isAllowed ? 'preflight' : 'refusal';
    const made = base();
    const origin = isAllowed ? allowedOrigin : 'https://b.example';
    const fields = ['x-request-id', made.id, 'origin', origin];
    fields.push('access-control-request-method', pick(['GET', 'POST']));
    const request = { ...made, kind, method: 'OPTIONS', refusals: [405], fields } as const;
    if (oneIn(2)) request.fields.push('access-control-request-headers', 'content-type,x-some');
    return request;
  }

  function page(): FuzzRequest {
    const path = pick(['/', '/healthz', '/readyz', '/?a=b'] as const);
    return { ...base(), kind: 'page', method: pick(['GET', 'GET', 'HEAD'] as const), path };
  }

  /** A request that is not a call, but looks like one. */
  function odd(): FuzzRequest {
    const request = { ...base(), kind: 'refusal' as const, path: pick(unaryPaths) };
    const type = (value: string, ...refusals: number[]): FuzzRequest => ({
      ...request,
      refusals,
      fields: [...request.fields, 'content-type', value],
      body: Buffer.alloc(below(50)),
    });
    const method = (name: string): FuzzRequest => ({ ...request, refusals: [405], method: name });
    return pick([
      () => type('text/plain', 415),
      () => type('', 415),
      () => type('application/x-www-form-urlencoded', 415),
      () => type('application/json; charset=latin1', 415),
      () => type('application/connect+json', 415),
      () => type('application/connect+xml', 415),
      () => type('application/grpc-web+xml', 415),
      () => ({ ...type('application/json', 415), path: paths.serverStream }),
      () => ({ ...type('application/proto', 415, 505), path: paths.bidi }),
      () => ({ ...request, refusals: [415] }),
      () => (version === '2' ? type('application/grpc+xml', 415) : type('application/grpc', 505)),
      () =>
        version === '2'
          ? method('PUT')
          : { ...type('application/connect+proto', 505), path: paths.bidi },
      () => ({ ...method('GET'), path: paths.unary }),
      () => ({ ...method('OPTIONS') }),
      () => ({ ...method(pick(['PUT', 'DELETE', 'PATCH', 'HEAD'])) }),
      () => ({ ...request, refusals: [415], method: 'GET', path: `${sayHello}?message=%7B%7D` }),
    ])();
  }

  function base(): FuzzRequest {
    const id = nextId();
    const fields = ['x-request-id', id, ...some()];
    return {
      id,
      method: 'POST',
      path: '/',
      fields,
      body: Buffer.alloc(0),
      kind: 'refusal',
      quality: 'unsure',
      rpc: undefined,
      isJson: false,
      refusals: [],
      timeout: undefined,
    };
  }

  /** Fields that any request may have. */
  function some(): string[] {
    const fields: string[] = [];
    if (oneIn(4)) fields.push('origin', pick([allowedOrigin, 'https://b.example']));
    if (oneIn(4)) fields.push('x-some-bin', random.text(10, 'AB+/=, ').trim());
    if (oneIn(4)) fields.push('x-some', visible(random.text(10)));
    if (oneIn(8)) fields.push('user-agent', 'fuzz/1', 'cookie', 'a=b; c=d');
    // HTTP/1.1 allows fewer names.
    if (version === '2' && oneIn(20)) fields.push(pick(['x(y)', 'x"y', 'x@', '{x}'] as const), 'x');
    return fields;
  }

  function addTimeout(request: FuzzRequest, name: 'connect-timeout-ms' | 'grpc-timeout'): void {
    if (request.timeout !== undefined || !oneIn(6)) return;
    const isConnect = name === 'connect-timeout-ms';
    setTimeoutTo(request, name, isConnect ? pick(connectTimeouts) : pick(grpcTimeouts));
  }
}

function setTimeoutTo(request: FuzzRequest, name: string, [text, ms]: Timeout): void {
  request.fields.push(name, text);
  request.timeout = ms;
  if (ms === undefined) request.quality = 'broken';
}

function worst(qualities: readonly Quality[]): Quality {
  if (qualities.includes('broken')) return 'broken';
  return qualities.includes('unsure') ? 'unsure' : 'valid';
}

/** A field value without control characters. */
function visible(text: string): string {
  return text.replaceAll(/[^ -~\x80-\xff]/g, '').trim();
}
