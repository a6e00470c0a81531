import type { CompatServiceDefinition, ServiceDefinition } from 'nice-grpc';
import { type CallContext, type MethodDescriptor, ServerError, Status } from 'nice-grpc-common';

/** What the engine needs to know of a method. */
export interface MethodCodec extends MethodDescriptor {
  /** The message. One that counts what it becomes throws a BecomesTooMuch before there is no `room`. */
  readonly decode: (bytes: Uint8Array, room?: MessageRoom) => unknown;
  /** The message with room for its prefix: `prefixLength` octets in front. One that counts its work says how much it was. */
  readonly encode: (message: unknown, work?: Work) => Uint8Array;
}

/** Who does the work of a message. */
export interface Work {
  /** In units of scheduler.ts. */
  spend(work: number): void;
}

/** What a message may become, and what it came to. */
export interface MessageRoom extends Work {
  /** Bytes that it may take in memory. */
  readonly most: number;
  /** Set by who decodes it: nothing of the message refers to the bytes that it was. */
  isCopied: boolean;
  /** It takes so many. */
  take(bytes: number): void;
}

/** RESOURCE_EXHAUSTED: a message takes more in memory than its room has bytes. */
export class BecomesTooMuch extends ServerError {
  constructor(most: number) {
    const bound = `at most ${most} bytes in memory`;
    super(Status.RESOURCE_EXHAUSTED, `Cannot take a message that becomes so much: ${bound}`);
    this.name = 'BecomesTooMuch';
  }
}

/** Of a message's frame: a flag, and four octets of length (PROTOCOL-HTTP2.md, Length-Prefixed-Message). */
export const prefixLength = 5;

/**
 * A member that a message's type may have beside `encode`, for codecs that can leave room for the prefix
 * and so spare us a copy: it does what MethodCodec.encode does, and what it gives is ours to change.
 */
export const encodeFramed = Symbol('encodeFramed');

/** The same beside `decode`, for codecs that count: it does what MethodCodec.decode does. */
export const decodeCounted = Symbol('decodeCounted');

/** Puts the room for a prefix in front of an encoded message. Throws a TypeError for what is no bytes. */
export function withPrefix(bytes: unknown): Uint8Array {
  if (!(bytes instanceof Uint8Array)) {
    throw new TypeError('Cannot send a message: its encoder has given no bytes');
  }
  const framed = Buffer.allocUnsafeSlow(prefixLength + bytes.length);
  framed.set(bytes, prefixLength);
  return framed;
}

/** The methods of a definition by their names in TypeScript, whoever generated it. */
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

/** What a service has for a method: a promise of a response, or an iterable of responses. */
export type Handler = (request: unknown, context: CallContext) => unknown;

/** A service as it was added. */
export interface AddedService {
  /** By their names in TypeScript. */
  readonly methods: readonly (readonly [key: string, codec: MethodCodec])[];
  /** What should have a function for each of them, its own or its class's. */
  readonly implementation: object;
}

/** Keeps a service until its server listens. */
export function addedService(
  definition: CompatServiceDefinition,
  implementation: object,
): AddedService {
  return { methods: methodsOf(definition), implementation };
}

/**
 * Every method of the services, with what serves it; as in nice-grpc, that is looked up once, when the
 * server begins to listen. Throws for a service without methods, a method without a function, and a path
 * that is there twice.
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
