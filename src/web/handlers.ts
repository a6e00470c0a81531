import {
  createConnectRouter,
  type ConnectRouterOptions,
  createContextKey,
  createContextValues,
  type HandlerContext,
} from '@connectrpc/connect';
import type { UniversalHandler } from '@connectrpc/connect/protocol';
import type { DescMethod, DescMethodUnary, FileRegistry } from '@bufbuild/protobuf';
import { parseTimeout, type Protocol, type WebRequest, type WebResponse } from '../engine/index.ts';
import { known } from './compression.ts';
import { fieldsBut, fieldsOf, headersOf } from './fields.ts';
import { fromQuery, type Plain } from './query.ts';
import { faultOf, metadataOf } from './status.ts';
import { createStreams } from './streams.ts';
import { createUnary } from './unary.ts';

interface HandlersDeps {
  registry: FileRegistry;
  maxMessageSize: number;
}

/** Serves the requests of one method. */
export type Handle = (request: WebRequest, plain: Plain) => Promise<WebResponse>;

const requestKey = createContextKey<WebRequest | undefined>(undefined);

/** Returns the handlers of all methods; each is created with its first call. */
export function createHandlers(deps: HandlersDeps) {
  const made = new Map<string, Handle>();

  return {
    of(path: string): Handle | undefined {
      let handle = made.get(path);
      if (!handle) {
        const method = methodOf(deps.registry, path);
        if (!method) return undefined;
        made.set(path, (handle = createHandle(method, deps)));
      }
      return handle;
    },
  };
}

function methodOf(registry: FileRegistry, path: string): DescMethod | undefined {
  const [start, service = '', name, ...more] = path.split('/', 4);
  if (start !== '' || more.length > 0) return undefined;
  return registry.getService(service)?.methods.find((method) => method.name === name);
}

function createHandle(method: DescMethod, deps: HandlersDeps): Handle {
  const unary = isUnary(method) ? createUnary(method, deps) : undefined;
  const streams = createStreams(method, deps);
  const { registry } = deps;
  let refusing: UniversalHandler | undefined;

  return (request, plain) =>
    unary?.handle(request, plain) ??
    streams.handle(request, plain) ??
    refuse((refusing ??= createRefusing(method, { jsonOptions: { registry } })), request, plain);
}

function isUnary(method: DescMethod): method is DescMethodUnary {
  return method.methodKind === 'unary';
}

/** Refuses a request as the library does: it has a format or a compression that cannot be accepted. */
async function refuse(
  handler: UniversalHandler,
  request: WebRequest,
  plain: Plain,
): Promise<WebResponse> {
  const isGet = request.method === 'GET' && handler.allowedMethods.includes('GET');
  const { fields } = isGet ? fromQuery(request) : plain;
  const response = await handler({
    httpVersion: request.version,
    url: 'http://localhost',
    method: isGet ? 'POST' : request.method,
    // An error is not compressed.
    header: withoutTimeout(
      headersOf(fieldsBut(fields, (name) => name.endsWith('accept-encoding'))),
    ),
    body: none(),
    signal: request.signal,
    contextValues: createContextValues().set(requestKey, request),
  });
  const { status, header, trailer, body } = response;
  const trailers = trailer && (() => fieldsOf(trailer));
  const isWhole = header?.has('content-length') ?? false;
  return {
    status,
    fields: fieldsOf(header),
    body: isWhole && body ? await whole(body) : body,
    trailers,
  };
}

async function* none(): AsyncGenerator<Uint8Array> {}

/** Creates the library's handler of a method, which never calls it. */
function createRefusing(method: DescMethod, options: ConnectRouterOptions): UniversalHandler {
  const router = createConnectRouter({ ...options, acceptCompression: known, requestGate: count });
  router.service(method.parent, {});
  const handler = router.handlers.find((each) => each.method.name === method.name);
  if (!handler) throw new Error(`Cannot serve "${method.name}": it has no handler`);
  return handler;
}

/** Counts a request that the library refuses as a call in limits, log and metrics. */
function count({ signal, values, protocolName }: HandlerContext): void {
  const request = values.get(requestKey);
  if (!request) return;
  const open = () => {
    const [path = ''] = request.path.split('?', 1);
    const protocol = protocolOf(protocolName);
    const fields = metadataOf(request.fields);
    request.call({ path, protocol, fields, fault: faultOf(signal.reason) }).end();
  };
  // A timeout of 0 has passed already.
  if (signal.aborted) open();
  else signal.addEventListener('abort', open);
  signal.throwIfAborted();
}

/**
 * Removes a timeout: it could pass before the refusal, which would then be counted as another status. One that is invalid,
 * or has passed already, is itself a reason to refuse.
 */
function withoutTimeout(header: Headers): Headers {
  const connect = header.get('connect-timeout-ms') ?? '';
  if (/^\d{1,10}$/.test(connect) && Number(connect) > 0) header.delete('connect-timeout-ms');
  if ((parseTimeout(header.get('grpc-timeout') ?? '') ?? 0) > 0) header.delete('grpc-timeout');
  return header;
}

function protocolOf(name: string): Protocol {
  return name === 'grpc' || name === 'grpc-web' ? name : 'connect';
}

/** Collects a body that is complete. */
async function whole(body: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  const [only] = chunks;
  return chunks.length === 1 && only ? only : Buffer.concat(chunks);
}
