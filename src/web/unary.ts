import { type DescMethodUnary, fromBinary, type Registry, toBinary } from '@bufbuild/protobuf';
import {
  compressionNegotiate,
  createMethodSerializationLookup,
} from '@connectrpc/connect/protocol';
import {
  codeToHttpStatus,
  errorToJsonBytes,
  parseTimeout,
} from '@connectrpc/connect/protocol-connect';
import { freeLarge, valueOf, type WebRequest, type WebResponse } from '../engine/index.ts';
import { assertAdmitted } from './admission.ts';
import { compressions } from './compression.ts';
import { parseJson } from './json.ts';
import { type JsonCost, jsonWork } from './json_cost.ts';
import { errorOf, faultOf, metadataOf } from './status.ts';
import { type Plain, unwrap } from './unwrap.ts';

interface UnaryDeps {
  registry: Registry;
  maxMessageSize: number;
}

/**
 * Serves Connect's unary protocol (https://connectrpc.com/docs/protocol/#unary-request) for requests without
 * compression. With the library's handler, which decodes and encodes each message once more, a call takes twice as
 * much processor time.
 */
export function createUnary(method: DescMethodUnary, { registry, maxMessageSize }: UnaryDeps) {
  const jsonOptions = { registry };
  const limits = { readMaxBytes: maxMessageSize, writeMaxBytes: maxWritten };
  const codecs = createMethodSerializationLookup(method, undefined, jsonOptions, limits);
  const outputs = codecs.getO(false);

  return {
    /** True for requests that handle() serves. */
    accepts({ method: verb }: Pick<WebRequest, 'method'>, { fields }: Plain): boolean {
      const type = valueOf(fields, 'content-type');
      const isKnown = type === proto || type === json;
      return verb === 'POST' && isKnown && valueOf(fields, 'content-encoding') === undefined;
    },

    async handle(request: WebRequest, plain: Plain): Promise<WebResponse> {
      const isJson = valueOf(plain.fields, 'content-type') === json;
      const { error, header, output, trailer } = await call(request, plain, isJson);
      const body = error
        ? errorToJsonBytes(error, jsonOptions)
        : await (isJson ? asJson(output, request) : output);
      const fields = ['content-type', error || isJson ? json : proto, ...header];
      for (let at = 0; at < trailer.length; at += 2) {
        fields.push(`trailer-${trailer[at]}`, trailer[at + 1] ?? '');
      }
      const status = error ? codeToHttpStatus(error.code) : 200;
      return compressed({ status, fields, body }, request);
    },
  };

  async function call(request: WebRequest, plain: Plain, isJson: boolean) {
    const { path, fields } = request;
    const { timeoutMs, error: wrong } = parseTimeout(timeoutOf(fields), Number.MAX_SAFE_INTEGER);
    let input: Uint8Array = empty;
    let fault;
    try {
      assertAdmitted(request);
      if (wrong) throw wrong;
      let keys = 0;
      const onBinary = (message: Uint8Array) => void (input = message);
      const onJson = (cost: JsonCost) => (keys = cost.keys);
      for await (const text of unwrap(request, plain, { maxMessageSize, onBinary, onJson }).body) {
        if (!isJson) continue;
        input = toBinary(method.input, parseJson(method.input, { text, keys }, registry));
        freeLarge(text);
      }
    } catch (error) {
      // It counts as a call in limits, log and metrics.
      fault = faultOf(error);
    }
    const head = { path, protocol: 'connect', fields: metadataOf(fields) } as const;
    const call = request.call({ ...head, timeout: timeoutMs, fault });
    if (fault) call.end();
    else void call.write(input, { isLast: true });
    // The call has a copy.
    freeLarge(input);
    input = empty;
    request.release();
    request.keep(0);
    const output = (await call.next()) ?? empty;
    const header = metadataOf(await call.header());
    if (await call.next()) throw new Error('Cannot send two responses to a unary call');
    return { error: errorOf(call.trailer), header, output, trailer: metadataOf(call.trailer) };
  }

  function asJson(output: Uint8Array, request: WebRequest) {
    return request.inTurn(jsonWork(output.length), () => {
      const message = fromBinary(method.output, output);
      freeLarge(output);
      return outputs.serialize(message);
    });
  }
}

const proto = 'application/proto';
const json = 'application/json';
const empty = new Uint8Array(0);
/** The maximum of the library's `writeMaxBytes`. */
const maxWritten = 2 ** 32 - 1;
/** Compression of smaller responses, in bytes, does not pay. */
const minCompressed = 1024;

function timeoutOf(fields: readonly string[]): string | null {
  return valueOf(fields, 'connect-timeout-ms') ?? null;
}

/** Compresses a large body if the client accepts it. */
async function compressed(
  { status, fields, body }: WebResponse & { body: Uint8Array },
  request: WebRequest,
): Promise<WebResponse> {
  const name = 'accept-encoding';
  const accepted = body.length < minCompressed ? undefined : valueOf(request.fields, name);
  const compression = compressionNegotiate(compressions, null, accepted ?? null, name).response;
  const sent = compression ? await compression.compress(body) : body;
  const added = compression ? ['content-encoding', compression.name] : [];
  const all = [...fields, ...added, 'content-length', String(sent.length)];
  return { status, fields: all, body: sent };
}
