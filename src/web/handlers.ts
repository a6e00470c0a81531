import {
  type ConnectRouterOptions,
  createConnectRouter,
  createContextKey,
  createContextValues,
  type HandlerContext,
} from '@connectrpc/connect';
import type { UniversalHandler } from '@connectrpc/connect/protocol';
import {
  create,
  type DescMethod,
  type DescMethodBiDiStreaming,
  type DescMethodClientStreaming,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  type FileRegistry,
  fromBinary,
  type Message,
  toBinary,
} from '@bufbuild/protobuf';
import { BinaryReader } from '@bufbuild/protobuf/wire';
import { EmptySchema } from '@bufbuild/protobuf/wkt';
import type { ServerError } from 'nice-grpc-common';
import {
  parseTimeout,
  type Protocol,
  type WebCall,
  type WebRequest,
  type WebResponse,
} from '../engine/index.ts';
import { assertAdmitted } from './admission.ts';
import { compressions } from './compression.ts';
import { append, fieldsOf, headersOf } from './fields.ts';
import { errorOf, faultOf, metadataOf } from './status.ts';
import { createUnary } from './unary.ts';
import { fromQuery, type Plain, unwrap } from './unwrap.ts';

interface HandlersDeps {
  registry: FileRegistry;
  maxMessageSize: number;
}

/** Serves the requests of one method. */
export type Handle = (request: WebRequest, plain: Plain) => Promise<WebResponse>;

/** A request and its call. */
interface Exchange {
  readonly request: WebRequest;
  /** Request messages in protobuf's binary encoding, in whose places the library has got empty ones. */
  readonly binary: Uint8Array[];
  call: WebCall | undefined;
  /** Aborted if the call has ended before it was opened with its request. */
  ended: AbortSignal | undefined;
}

const exchangeKey = createContextKey<Exchange | undefined>(undefined);

/** Returns the handlers of all methods; each is created with its first call. */
export function createHandlers({ registry, maxMessageSize }: HandlersDeps) {
  const made = new Map<string, Handle>();
  const options: ConnectRouterOptions = {
    acceptCompression: compressions,
    readMaxBytes: maxMessageSize,
    jsonOptions: { registry },
    requestGate: enter,
  };

  return {
    of(path: string): Handle | undefined {
      let handle = made.get(path);
      if (!handle) {
        const method = methodOf(registry, path);
        if (!method) return undefined;
        made.set(path, (handle = createHandle(method, { options, registry, maxMessageSize })));
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

function createHandle(
  method: DescMethod,
  { options, registry, maxMessageSize }: HandlersDeps & { options: ConnectRouterOptions },
): Handle {
  const unary = isUnary(method) ? createUnary(method, { registry, maxMessageSize }) : undefined;
  const json = createHandler(method, options);
  const binary = createHandler(opaque(method), options);

  return async (request, plain) => {
    if (unary?.accepts(request, plain)) return unary.handle(request, plain);
    const exchange: Exchange = { request, binary: [], call: undefined, ended: undefined };
    const isGet = request.method === 'GET' && json.allowedMethods.includes('GET');
    const { fields, body, isJson } = unwrap(request, isGet ? fromQuery(request) : plain, {
      maxMessageSize,
      onBinary: (message) => void exchange.binary.push(message),
    });
    const response = await (isJson ? json : binary)({
      httpVersion: request.version,
      url: 'http://localhost',
      method: isGet ? 'POST' : request.method,
      header: withoutLongTimeout(headersOf(fields)),
      body: untilEnd(body, exchange),
      signal: request.signal,
      contextValues: createContextValues().set(exchangeKey, exchange),
    });
    const { status, header, trailer } = response;
    const trailers = trailer && (() => fieldsOf(trailer));
    const isWhole = header?.has('content-length') ?? false;
    const answer = isWhole && response.body ? await whole(response.body) : response.body;
    return { status, fields: fieldsOf(header), body: answer, trailers };
  };
}

/** The maximum delay of a Node timer in milliseconds, 24.8 days, and in the units of `grpc-timeout`. */
const longestTimer = 2 ** 31 - 1;
const longestGrpcTimeout = '2147483S';

/** Shortens a timeout that is too long for the timer that the library sets, which would fire at once. */
function withoutLongTimeout(header: Headers): Headers {
  const connect = header.get('connect-timeout-ms') ?? '';
  if (/^\d{10}$/.test(connect) && Number(connect) > longestTimer)
    header.set('connect-timeout-ms', String(longestTimer));
  const grpc = parseTimeout(header.get('grpc-timeout') ?? '') ?? 0;
  if (grpc > longestTimer) header.set('grpc-timeout', longestGrpcTimeout);
  return header;
}

/**
 * The same method with types that have no fields. The library would decode each message of the request and encode it
 * again for the engine, and the reverse for the response, without a limit for the time that takes. With these types it
 * passes the bytes on.
 */
function opaque(method: DescMethod): DescMethod {
  return { ...method, input: EmptySchema, output: EmptySchema };
}

/** Creates the library's handler of a method. */
function createHandler(method: DescMethod, options: ConnectRouterOptions): UniversalHandler {
  const router = createConnectRouter(options);
  if (isUnary(method)) {
    router.rpc(method, (input, context) => one(encoded(input, context), context));
  } else if (isServerStream(method)) {
    router.rpc(method, (input, context) => many(encoded(input, context), context));
  } else if (isClientStream(method)) {
    router.rpc(method, (inputs, context) => one(allEncoded(inputs, context), context));
  } else if (isBidi(method)) {
    router.rpc(method, (inputs, context) => many(allEncoded(inputs, context), context));
  }
  const [handler] = router.handlers;
  if (!handler) throw new Error(`Cannot serve "${method.name}": it has no handler`);
  return handler;

  async function one(input: Input, context: HandlerContext) {
    const call = open(context);
    send(call, input, exchangeOf(context).request);
    const output = await call.next();
    append(context.responseHeader, metadataOf(await call.header()));
    if (output && (await call.next())) throw new Error('Cannot send two responses to a unary call');
    finish(call, context);
    return decoded(output ?? new Uint8Array(0));
  }

  async function* many(input: Input, context: HandlerContext) {
    const call = open(context);
    try {
      send(call, input, exchangeOf(context).request);
      append(context.responseHeader, metadataOf(await call.header()));
      for (let output = await call.next(); output; output = await call.next()) {
        yield decoded(output);
      }
      finish(call, context);
    } finally {
      call.cancel();
    }
  }

  function encoded(message: Message, context: HandlerContext): Uint8Array {
    return exchangeOf(context).binary.shift() ?? toBinary(method.input, message);
  }

  async function* allEncoded(
    messages: AsyncIterable<Message>,
    context: HandlerContext,
  ): AsyncGenerator<Uint8Array> {
    for await (const message of messages) yield encoded(message, context);
  }

  function decoded(bytes: Uint8Array): Message {
    return method.output === EmptySchema ? unknownOnly(bytes) : fromBinary(method.output, bytes);
  }
}

/** Creates a message of a type without fields that is encoded as these bytes. */
function unknownOnly(bytes: Uint8Array): Message {
  const message = create(EmptySchema);
  if (bytes.length === 0) return message;
  const reader = new BinaryReader(bytes);
  const [no, wireType] = reader.tag();
  // Data of an unknown field is written as it is, so it may contain the other fields, too.
  message.$unknown = [{ no, wireType, data: bytes.subarray(reader.pos) }];
  return message;
}

function isUnary(method: DescMethod): method is DescMethodUnary {
  return method.methodKind === 'unary';
}

function isServerStream(method: DescMethod): method is DescMethodServerStreaming {
  return method.methodKind === 'server_streaming';
}

function isClientStream(method: DescMethod): method is DescMethodClientStreaming {
  return method.methodKind === 'client_streaming';
}

function isBidi(method: DescMethod): method is DescMethodBiDiStreaming {
  return method.methodKind === 'bidi_streaming';
}

/** The request message or messages, in protobuf's binary encoding. */
type Input = Uint8Array | AsyncIterable<Uint8Array>;

function open(context: HandlerContext, fault?: ServerError): WebCall {
  // Otherwise, a deadline that has passed while the request was read would count as another call.
  if (!fault) context.signal.throwIfAborted();
  const exchange = exchangeOf(context);
  const { request } = exchange;
  const [path = ''] = request.path.split('?', 1);
  exchange.call = request.call({
    path,
    protocol: protocolOf(context),
    fields: metadataOf(request.fields),
    timeout: context.timeoutMs(),
    fault,
  });
  return exchange.call;
}

function exchangeOf({ values }: HandlerContext): Exchange {
  const exchange = values.get(exchangeKey);
  if (!exchange) throw new Error('Cannot find the request of a call');
  return exchange;
}

function protocolOf({ protocolName }: HandlerContext): Protocol {
  return protocolName === 'grpc' || protocolName === 'grpc-web' ? protocolName : 'connect';
}

/** Ends a body with the call, so that the client gets the status that was logged. */
async function* untilEnd(
  body: AsyncIterable<Uint8Array>,
  exchange: Pick<Exchange, 'ended'>,
): AsyncGenerator<Uint8Array> {
  try {
    for await (const bytes of body) {
      exchange.ended?.throwIfAborted();
      yield bytes;
    }
  } finally {
    exchange.ended?.throwIfAborted();
  }
}

/** Collects a body that is complete. */
async function whole(body: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  const [only] = chunks;
  return chunks.length === 1 && only ? only : Buffer.concat(chunks);
}

/** Sends the request; an error in it ends the call. */
function send(call: WebCall, input: Input, request: WebRequest): void {
  if (!(input instanceof Uint8Array)) return void sendAll(call, input);
  void call.write(input, { isLast: true });
  request.release();
  request.keep(0);
}

async function sendAll(call: WebCall, inputs: AsyncIterable<Uint8Array>): Promise<void> {
  try {
    for await (const input of inputs) await call.write(input);
    call.end();
  } catch (error) {
    call.refuse(faultOf(error));
  }
}

/** Copies the trailers, and throws the error that the call has ended with, if any. */
function finish({ trailer }: WebCall, context: HandlerContext): void {
  append(context.responseTrailer, metadataOf(trailer));
  const error = errorOf(trailer);
  if (error) throw error;
}

/** Runs before the body is read. */
function enter(context: HandlerContext): void {
  const { signal } = context;
  // A request that the library refuses counts as a call in limits, log and metrics.
  const count = () => {
    const exchange = exchangeOf(context);
    if (exchange.call) return;
    exchange.ended = signal;
    open(context, faultOf(signal.reason)).end();
  };
  signal.addEventListener('abort', count);
  // A timeout of 0 has passed already.
  if (signal.aborted) count();
  signal.throwIfAborted();
  assertAdmitted(exchangeOf(context).request);
}
