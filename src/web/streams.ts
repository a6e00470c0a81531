import { type DescMethod, fromBinary, type Registry } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { createMethodSerializationLookup } from '@connectrpc/connect/protocol';
import {
  createEndStreamSerialization,
  endStreamFlag,
  parseContentType as parseConnect,
  parseTimeout as parseConnectTimeout,
} from '@connectrpc/connect/protocol-connect';
import {
  parseContentType as parseGrpc,
  parseTimeout as parseGrpcTimeout,
  setTrailerStatus,
} from '@connectrpc/connect/protocol-grpc';
import {
  parseContentType as parseGrpcWeb,
  trailerFlag,
} from '@connectrpc/connect/protocol-grpc-web';
import {
  freeLarge,
  frame,
  prefixLength,
  type Protocol,
  valueOf,
  type WebCall,
  type WebRequest,
  type WebResponse,
} from '../engine/index.ts';
import { assertAdmitted } from './admission.ts';
import { compress, type Compression, minCompressed } from './compression.ts';
import { fieldsOf, headersOf } from './fields.ts';
import { jsonWork } from './json_cost.ts';
import { negotiate } from './negotiation.ts';
import type { Plain } from './query.ts';
import { compressedFlag, RequestBody } from './request_body.ts';
import {
  errorOf,
  faultOf,
  hasNoStatus,
  httpResponseOf,
  isMarked,
  metadataOf,
  statusOf,
} from './status.ts';

interface StreamsDeps {
  registry: Registry;
  maxMessageSize: number;
}

/** A protocol whose messages have prefixes. */
interface Kind {
  protocol: Protocol;
  type: string;
  encoding: string;
  accepted: string;
  timeout: string;
  parseTimeout: typeof parseGrpcTimeout;
  /** Set in the flags of the message that ends a body; 0 if there is none. */
  endFlag: number;
}

const grpc: Kind = {
  protocol: 'grpc',
  type: 'application/grpc',
  encoding: 'grpc-encoding',
  accepted: 'grpc-accept-encoding',
  timeout: 'grpc-timeout',
  parseTimeout: parseGrpcTimeout,
  endFlag: 0,
};
const grpcWeb: Kind = {
  ...grpc,
  protocol: 'grpc-web',
  type: 'application/grpc-web',
  endFlag: trailerFlag,
};
const connect: Kind = {
  protocol: 'connect',
  type: 'application/connect',
  encoding: 'connect-content-encoding',
  accepted: 'connect-accept-encoding',
  timeout: 'connect-timeout-ms',
  parseTimeout: parseConnectTimeout,
  endFlag: endStreamFlag,
};

/**
 * Serves the protocols whose messages have prefixes: gRPC, gRPC-Web, and the streams of Connect. The library's handlers
 * would hold several copies of each message without a charge for them, and take ten times the memory and the time.
 */
export function createStreams(method: DescMethod, { registry, maxMessageSize }: StreamsDeps) {
  const isUnary = method.methodKind === 'unary';
  const jsonOptions = { registry };
  const limits = { readMaxBytes: maxMessageSize, writeMaxBytes: maxWritten };
  const json = createMethodSerializationLookup(method, undefined, jsonOptions, limits).getO(false);
  const ends = createEndStreamSerialization(jsonOptions);

  return {
    /** Serves a request; undefined if it is one that the library refuses. */
    handle(request: WebRequest, plain: Plain): Promise<WebResponse> | undefined {
      const { fields } = plain;
      // Such a stream needs HTTP/2.
      const isBidi = method.methodKind === 'bidi_streaming' && request.version === '1.1';
      const isCall = request.method === 'POST' && !isBidi;
      const known = isCall ? kindOf(valueOf(fields, 'content-type')) : undefined;
      if (!known || (known.kind === connect && isUnary)) return undefined;
      const { encoding, accepted } = known.kind;
      const compression = negotiate(fields, { encoding, accepted });
      if (!compression) return undefined;
      const chosen = { request: compression.request, response: compression.response() };
      return serve({ request, ...plain, ...known, compression: chosen });
    },
  };

  interface Exchange extends Plain {
    request: WebRequest;
    kind: Kind;
    isJson: boolean;
    compression: { request: Compression | undefined; response: Compression | undefined };
  }

  async function serve(exchange: Exchange): Promise<WebResponse> {
    const { kind, isJson, compression } = exchange;
    const call = open(exchange);
    const header = metadataOf(await call.header());
    const other = httpResponseOf(call.trailer);
    if (other) return other;
    const encoding = compression.response ? [kind.encoding, compression.response.name] : [];
    const type = `${kind.type}+${isJson ? 'json' : 'proto'}`;
    const result: Result = { failure: undefined };
    return {
      status: 200,
      fields: ['content-type', type, ...encoding, ...header],
      body: responses(call, exchange, result),
      trailers: kind === grpc ? () => statusFields(call, result) : undefined,
    };
  }

  function open({ request, fields, body, kind, isJson, compression }: Exchange): WebCall {
    const { timeoutMs, error } = kind.parseTimeout(
      valueOf(fields, kind.timeout) ?? null,
      Number.MAX_SAFE_INTEGER,
    );
    const fault = faultIn(request, error);
    const [path = ''] = request.path.split('?', 1);
    const { protocol } = kind;
    const call = request.call({
      path,
      protocol,
      isJson,
      fields: metadataOf(fields),
      timeout: timeoutMs,
      fault,
    });
    if (fault) call.end();
    else {
      const deps = { request, registry, maxMessageSize, isJson, compression: compression.request };
      const reader = new RequestBody({ ...deps, input: method.input });
      reader.each(body, call, kind.endFlag).catch((reason) => call.refuse(faultOf(reason)));
    }
    return call;
  }

  /** The body of the response. */
  async function* responses(
    call: WebCall,
    exchange: Exchange,
    result: Result,
  ): AsyncGenerator<Uint8Array> {
    const { request, kind } = exchange;
    try {
      for (let next = await call.nextFramed(); next; next = await call.nextFramed()) {
        request.response.keep(next.length);
        await request.inTurn(passWork, nothing);
        const sent = await encoded(next, exchange);
        request.response.keep(0);
        yield sent;
      }
    } catch (error) {
      result.failure =
        error instanceof ConnectError ? error : new ConnectError('internal error', Code.Internal);
    } finally {
      call.cancel();
    }
    if (hasNoStatus(call.trailer) && !result.failure) return;
    if (kind === connect) {
      const metadata = headersOf(metadataOf(call.trailer));
      const error = result.failure ?? errorOf(call.trailer);
      yield frame(kind.endFlag, ends.serialize(error ? { metadata, error } : { metadata }));
    } else if (kind === grpcWeb) yield frame(kind.endFlag, linesOf(statusFields(call, result)));
  }

  async function encoded(
    framed: Uint8Array,
    { request, isJson, compression }: Exchange,
  ): Promise<Uint8Array> {
    if (isMarked(framed)) return framed;
    const plain = isJson ? await asJson(framed, request) : framed;
    const { response } = compression;
    if (!response || plain.length - prefixLength < minCompressed) return plain;
    const bytes = plain.subarray(prefixLength);
    const packed = await compress(bytes, request, response);
    freeLarge(plain);
    const whole = frame(compressedFlag, packed);
    freeLarge(packed);
    return whole;
  }

  async function asJson(framed: Uint8Array, request: WebRequest): Promise<Uint8Array> {
    const { length } = framed;
    request.response.keep(timesOfJson * length);
    return request.inTurn(jsonWork(length), () => {
      // Fields of bytes refer to the encoded message.
      const message = fromBinary(method.output, framed.subarray(prefixLength));
      const text = json.serialize(message);
      freeLarge(framed);
      return frame(0, text);
    });
  }
}

/** How the response has ended, if not with the call's own status. */
interface Result {
  failure: ConnectError | undefined;
}

function faultIn(request: WebRequest, error: unknown) {
  try {
    if (error !== undefined) throw error;
    assertAdmitted(request);
    return undefined;
  } catch (reason) {
    return faultOf(reason);
  }
}

function kindOf(type: string | undefined): { kind: Kind; isJson: boolean } | undefined {
  if (type === undefined) return undefined;
  const asConnect = parseConnect(type);
  if (asConnect) return asConnect.stream ? { kind: connect, isJson: !asConnect.binary } : undefined;
  const asGrpcWeb = parseGrpcWeb(type);
  if (asGrpcWeb) return asGrpcWeb.text ? undefined : { kind: grpcWeb, isJson: !asGrpcWeb.binary };
  const asGrpc = parseGrpc(type);
  return asGrpc && { kind: grpc, isJson: !asGrpc.binary };
}

function statusFields({ trailer }: WebCall, { failure }: Result): string[] {
  if (!failure) return statusOf(trailer);
  const headers = new Headers();
  setTrailerStatus(headers, failure);
  return fieldsOf(headers);
}

/** The trailers of gRPC-Web (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md). */
function linesOf(fields: readonly string[]): Buffer {
  let lines = '';
  for (let at = 0; at < fields.length; at += 2) lines += `${fields[at]}: ${fields[at + 1]}\r\n`;
  return Buffer.from(lines);
}

/** The maximum of the library's `writeMaxBytes`. */
const maxWritten = 2 ** 32 - 1;

/** The work of passing on a response message, in units of a flow. */
const passWork = 20;

/** The memory of a response while it is encoded as JSON, as a multiple of its size. */
const timesOfJson = 3;

function nothing(): void {}
