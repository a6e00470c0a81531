import { type DescMethodUnary, fromBinary, type Registry } from '@bufbuild/protobuf';
import { MethodOptions_IdempotencyLevel } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError } from '@connectrpc/connect';
import { createMethodSerializationLookup } from '@connectrpc/connect/protocol';
import {
  codeToHttpStatus,
  errorToJsonBytes,
  parseContentType,
  parseTimeout,
} from '@connectrpc/connect/protocol-connect';
import {
  freeLarge,
  prefixLength,
  valueOf,
  type WebRequest,
  type WebResponse,
} from '../engine/index.ts';
import { assertAdmitted } from './admission.ts';
import { compress, minCompressed } from './compression.ts';
import { jsonWork } from './json_cost.ts';
import { negotiate, type Negotiated } from './negotiation.ts';
import { fromQuery, type Plain } from './query.ts';
import { RequestBody } from './request_body.ts';
import { errorOf, faultOf, hasNoStatus, httpResponseOf, isMarked, metadataOf } from './status.ts';

interface UnaryDeps {
  registry: Registry;
  maxMessageSize: number;
}

interface Exchange extends Plain {
  request: WebRequest;
  isJson: boolean;
  compression: Negotiated;
}

/**
 * Serves Connect's unary protocol (https://connectrpc.com/docs/protocol/#unary-request). With the library's handler,
 * which decodes and encodes each message once more, a call takes twice as much processor time.
 */
export function createUnary(method: DescMethodUnary, { registry, maxMessageSize }: UnaryDeps) {
  const jsonOptions = { registry };
  const limits = { readMaxBytes: maxMessageSize, writeMaxBytes: maxWritten };
  const codecs = createMethodSerializationLookup(method, undefined, jsonOptions, limits);
  const outputs = codecs.getO(false);
  const mayGet = method.idempotency === MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS;

  return {
    /** Serves a request; undefined if it is one that the library refuses. */
    handle(request: WebRequest, posted: Plain): Promise<WebResponse> | undefined {
      const isGet = request.method === 'GET';
      if (isGet ? !mayGet : request.method !== 'POST') return undefined;
      const plain = isGet ? fromQuery(request) : posted;
      const type = parseContentType(valueOf(plain.fields, 'content-type') ?? null);
      if (!type || type.stream) return undefined;
      const compression = negotiate(plain.fields, names);
      const { fields, body } = plain;
      return compression && serve({ request, fields, body, isJson: !type.binary, compression });
    },
  };

  async function serve(exchange: Exchange): Promise<WebResponse> {
    const { request, isJson, compression } = exchange;
    const { error: failure, header, output, trailer, other, isCorrupt } = await call(exchange);
    if (other) return other;
    if (isCorrupt && !failure) {
      request.response.keep(0);
      const { length } = output;
      const fields = ['content-type', isJson ? json : proto, 'content-encoding', 'gzip', ...header];
      return { status: 200, fields: [...fields, 'content-length', String(length)], body: output };
    }
    const encoded = failure ?? (await (isJson ? asJson(output, request) : output));
    const error = encoded instanceof ConnectError ? encoded : undefined;
    const body = encoded instanceof ConnectError ? errorToJsonBytes(encoded, jsonOptions) : encoded;
    const fields = ['content-type', error || isJson ? json : proto, ...header];
    for (let at = 0; at < trailer.length; at += 2) {
      fields.push(`trailer-${trailer[at]}`, trailer[at + 1] ?? '');
    }
    const status = error ? codeToHttpStatus(error.code) : 200;
    return compressed({ status, fields, body }, request, compression);
  }

  async function call({ request, fields, body, isJson, compression }: Exchange) {
    const [path = ''] = request.path.split('?', 1);
    const { timeoutMs, error: wrong } = parseTimeout(timeoutOf(fields), Number.MAX_SAFE_INTEGER);
    let input: Uint8Array = empty;
    let fault;
    try {
      assertAdmitted(request);
      if (wrong) throw wrong;
      const deps = { request, registry, maxMessageSize, isJson, compression: compression.request };
      input = await new RequestBody({ ...deps, input: method.input }).whole(body);
    } catch (error) {
      // It counts as a call in limits, log and metrics.
      fault = faultOf(error);
    }
    const head = { path, protocol: 'connect', isJson, fields: metadataOf(fields) } as const;
    // The upload counts, too.
    const timeout = timeoutMs && Math.max(0, timeoutMs - request.elapsed);
    const call = request.call({ ...head, timeout, fault });
    if (fault) call.end();
    else void call.write(input, { isLast: true });
    // The call has a copy.
    freeLarge(input);
    input = empty;
    request.release();
    request.keep(0);
    const framed = (await call.nextFramed()) ?? empty;
    const isCorrupt = isMarked(framed);
    const output = framed.subarray(prefixLength);
    request.response.keep(output.length);
    const header = metadataOf(await call.header());
    if (await call.next()) throw new Error('Cannot send two responses to a unary call');
    const { trailer } = call;
    const other = httpResponseOf(trailer);
    // Connect's unary protocol has no trailers that could be missing.
    const error = hasNoStatus(trailer) && output.length > 0 ? undefined : errorOf(trailer);
    return { error, header, output, trailer: metadataOf(trailer), other, isCorrupt };
  }

  /** Returns an error for a message that cannot be decoded, which only an injected fault sends. */
  async function asJson(
    output: Uint8Array,
    request: WebRequest,
  ): Promise<Uint8Array | ConnectError> {
    const { length } = output;
    request.response.keep(timesOfJson * length);
    const text = await request.inTurn(jsonWork(length), () => {
      // Fields of bytes refer to the encoded message.
      try {
        const text = outputs.serialize(fromBinary(method.output, output));
        freeLarge(output);
        return text;
      } catch {
        return new ConnectError('internal error', Code.Internal);
      }
    });
    request.response.keep(text instanceof ConnectError ? 0 : text.length);
    return text;
  }
}

const names = { encoding: 'content-encoding', accepted: 'accept-encoding' };
const proto = 'application/proto';
const json = 'application/json';
const empty = new Uint8Array(0);
/** The maximum of the library's `writeMaxBytes`. */
const maxWritten = 2 ** 32 - 1;

/** The memory of a response while it is encoded as JSON, as a multiple of its size. */
const timesOfJson = 3;

function timeoutOf(fields: readonly string[]): string | null {
  return valueOf(fields, 'connect-timeout-ms') ?? null;
}

/** Compresses a large body if the client accepts it. */
async function compressed(
  { status, fields, body }: WebResponse & { body: Uint8Array },
  request: WebRequest,
  negotiated: Negotiated,
): Promise<WebResponse> {
  const compression = body.length < minCompressed ? undefined : negotiated.response();
  if (!compression) {
    request.response.keep(0);
    return { status, fields: [...fields, 'content-length', String(body.length)], body };
  }
  const packed = await compress(body, request, compression);
  freeLarge(body);
  request.response.keep(0);
  const { name } = compression;
  const more = ['content-encoding', name, 'content-length', String(packed.length)];
  return { status, fields: [...fields, ...more], body: packed };
}
