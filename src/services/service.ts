import type { ServiceImplementation, TsProtoServiceDefinition } from 'nice-grpc';
import type { Additions } from '../context.ts';
import type { GrpcServer } from '../engine/index.ts';

/** How the server treats calls of a service; omitted properties mean like any other call. */
export interface Policy<Method extends string = string> {
  /** Exempt from --default-deadline and --max-deadline: calls that stay open until the client ends them. */
  longLived?: Methods<Method>;
  /** Exempt from --max-in-flight: calls that a busy server still accepts, because they report its state. */
  unlimited?: Methods<Method>;
  /** Exempt from --max-buffered-bytes: short unary probes, without which a busy server would be restarted. */
  essential?: Methods<Method>;
  /** Logged at debug, except for server faults: calls that probes and tools repeat. */
  quiet?: Methods<Method>;
}

/** Methods by their names in the definition, such as `getTodo`. */
type Methods<Method extends string> = 'all' | readonly Method[];

/** A service of the list in services.ts; `Deps` are the dependencies of its implementation. */
export interface Service<Deps> {
  readonly definition: TsProtoServiceDefinition;
  readonly policy: Policy;
  /** Creates the implementation and adds it to a server. */
  readonly addTo: (server: Pick<GrpcServer<Additions>, 'add'>, deps: Deps) => void;
}

/** Services that a setting enables. */
export interface OptionalService<Settings, Deps> {
  readonly isEnabled: (settings: Settings) => boolean;
  /** Imports the services on demand, so that other servers do not load them. */
  readonly load: () => Promise<readonly Service<Deps>[]>;
}

/** Creates a `Service`; the types check that definition, implementation and policy match. */
export function service<Of extends TsProtoServiceDefinition, Deps>({
  definition,
  implementation,
  policy = {},
}: {
  definition: Of;
  implementation: (deps: Deps) => ServiceImplementation<Of, Additions>;
  policy?: Policy<keyof Of['methods'] & string>;
}): Service<Deps> {
  return {
    definition,
    policy,
    addTo: (server, deps) => server.add(definition, implementation(deps)),
  };
}

/** Creates an `OptionalService` of the list in services.ts. */
export function optional<Settings, Deps>(
  entry: OptionalService<Settings, Deps>,
): OptionalService<Settings, Deps> {
  return entry;
}
