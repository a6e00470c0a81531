import type { CompatServiceDefinition } from 'nice-grpc';
import type { Handler } from './innermost.ts';
import { type MethodCodec, methodsOf } from './methods.ts';

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
