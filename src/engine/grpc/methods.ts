import type { CompatServiceDefinition, ServiceDefinition } from 'nice-grpc';
import { type CallContext, type MethodDescriptor, ServerError, Status } from 'nice-grpc-common';

/** The codec and the names of a method. */
export interface MethodCodec extends MethodDescriptor {
  /** Decodes a message. A decoder that counts memory throws BecomesTooMuch before it exceeds `memory.max`. */
  readonly decode: (bytes: Uint8Array, memory?: MessageMemory) => unknown;
  /** Encodes a message with `prefixLength` free octets in front. An encoder that counts its work reports it. */
  readonly encode: (message: unknown, work?: Work) => Uint8Array;
}

/** Counts the work that a message takes. */
export interface Work {
  /** The unit is that of scheduler.ts. */
  spend(work: number): void;
}

/** The memory that a decoded message takes, and its limit. */
export interface MessageMemory extends Work {
  /** The maximum in bytes. */
  readonly max: number;
  /** Set by the decoder if the message does not refer to the encoded bytes. */
  isCopied: boolean;
  /** Sets the bytes that the message takes. */
  take(bytes: number): void;
}

/** RESOURCE_EXHAUSTED: the decoded message exceeds the memory that is available for it. */
export class BecomesTooMuch extends ServerError {
  constructor(maxBytes: number) {
    const bound = `at most ${maxBytes} bytes in memory`;
    super(Status.RESOURCE_EXHAUSTED, `Cannot accept a message that takes so much memory: ${bound}`);
    this.name = 'BecomesTooMuch';
  }
}

/**
 * The length of a message's prefix: a flag and four octets of length (PROTOCOL-HTTP2.md, Length-Prefixed-Message).
 */
export const prefixLength = 5;

/**
 * An optional member of a message type beside `encode`, which leaves space for the prefix and so saves a copy. It does
 * what MethodCodec.encode does; the result belongs to the engine.
 */
export const encodeFramed = Symbol('encodeFramed');

/** An optional member beside `decode` that counts memory: it does what MethodCodec.decode does. */
export const decodeCounted = Symbol('decodeCounted');

/** Prepends space for the prefix to an encoded message. Throws a TypeError if the encoder did not return bytes. */
export function withPrefix(bytes: unknown): Buffer {
  if (!(bytes instanceof Uint8Array)) {
    throw new TypeError('Cannot send a message: its encoder has given no bytes');
  }
  const framed = Buffer.allocUnsafeSlow(prefixLength + bytes.length);
  framed.set(bytes, prefixLength);
  return framed;
}

/**
 * Prepends a prefix with these flags to a message. Connect has the same prefix
 * (https://connectrpc.com/docs/protocol/#streaming-rpcs).
 */
export function frame(flags: number, message: Uint8Array): Buffer {
  const framed = withPrefix(message);
  writePrefix(framed, flags);
  return framed;
}

/** Writes the prefix into the free octets in front of a message. */
export function writePrefix(framed: Uint8Array, flags: number): void {
  const length = framed.length - prefixLength;
  framed[0] = flags;
  framed[1] = length >>> 24;
  framed[2] = length >>> 16;
  framed[3] = length >>> 8;
  framed[4] = length;
}

/** The methods of a service definition by their TypeScript names, for any generator. */
function methodsOf(definition: CompatServiceDefinition): [string, MethodCodec][] {
  if (isTsProto(definition)) {
    const { fullName } = definition;
    return Object.entries(definition.methods).map(([key, method]) => [
      key,
      fromTsProto(fullName, method),
    ]);
  }
  // grpc-js's definitions have the same members.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return Object.entries(definition as ServiceDefinition).map(([key, method]) => [
    key,
    {
      path: method.path,
      requestStream: method.requestStream,
      responseStream: method.responseStream,
      options: method.options ?? {},
      decode: (bytes) => method.requestDeserialize(bytes),
      encode: (message) => withPrefix(method.responseSerialize(message)),
    },
  ]);
}

interface TsProtoService {
  fullName: string;
  methods: Record<string, TsProtoMethod>;
}

interface TsProtoMethod {
  name: string;
  requestType: {
    decode(bytes: Uint8Array): unknown;
    [decodeCounted]?: MethodCodec['decode'];
  };
  requestStream: boolean;
  responseType: {
    encode(message: unknown): { finish(): Uint8Array };
    fromPartial?(message: unknown): unknown;
    [encodeFramed]?: MethodCodec['encode'];
  };
  responseStream: boolean;
  options: MethodDescriptor['options'];
}

function isTsProto(definition: object): definition is TsProtoService {
  return 'fullName' in definition && 'methods' in definition;
}

function fromTsProto(fullName: string, method: TsProtoMethod): MethodCodec {
  const { name, requestType, requestStream, responseType, responseStream, options } = method;
  const encode: MethodCodec['encode'] =
    responseType[encodeFramed] ?? ((whole) => withPrefix(responseType.encode(whole).finish()));
  return {
    path: `/${fullName}/${name}`,
    requestStream,
    responseStream,
    options,
    decode: requestType[decodeCounted] ?? ((bytes) => requestType.decode(bytes)),
    encode(message, work) {
      const whole = responseType.fromPartial ? responseType.fromPartial(message) : message;
      return encode(whole, work);
    },
  };
}

/** A handler: it returns a promise of a response, or an iterable of responses. */
export type Handler = (request: unknown, context: CallContext) => unknown;

/** A service that was added to the server. */
export interface AddedService {
  /** Codecs by TypeScript name. */
  readonly methods: readonly (readonly [key: string, codec: MethodCodec])[];
  /** An object with a function for each method, its own or inherited. */
  readonly implementation: object;
}

/** Stores a service until the server starts to listen. */
export function addedService(
  definition: CompatServiceDefinition,
  implementation: object,
): AddedService {
  return { methods: methodsOf(definition), implementation };
}

/**
 * The handlers of all methods. As in nice-grpc, they are looked up once, when the server starts to listen. Throws for
 * a service without methods, a method without a function, and a duplicate path.
 */
export function handlersOf<Service extends AddedService>(
  services: readonly Service[],
): { service: Service; codec: MethodCodec; handler: Handler }[] {
  const paths = new Set<string>();
  return services.flatMap((service) => {
    if (service.methods.length === 0) throw new Error('Cannot serve a service: it has no methods');
    return service.methods.map(([key, codec]) => {
      const { path } = codec;
      const handler = handlerOf(service.implementation, key);
      if (!handler) {
        throw new Error(`Cannot serve "${path}": its implementation has no function "${key}"`);
      }
      if (paths.has(path)) throw new Error(`Cannot serve "${path}": it has been added twice`);
      paths.add(path);
      return { service, codec, handler };
    });
  });
}

function handlerOf(implementation: object, key: string): Handler | undefined {
  // That a function is a handler of its method's kind is checked where it is added.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  const handler = (implementation as Record<string, Handler | undefined>)[key];
  return typeof handler === 'function' ? handler.bind(implementation) : undefined;
}
