import type { ServiceImplementation, TsProtoServiceDefinition } from 'nice-grpc';
import type { Additions } from '../context.ts';
import type { GrpcServer } from '../engine/index.ts';

/** How the server treats the calls of a service; what is left out is treated as any other call. */
export interface Policy<Method extends string = string> {
  /** Calls that stay open until their client ends them: exempt from --default-deadline and --max-deadline. */
  longLived?: Methods<Method>;
  /** Calls that a busy server still accepts, as they tell what it is and how it is: exempt from --max-in-flight. */
  unlimited?: Methods<Method>;
  /** Short unary probes that are answered without free memory, too, or a busy server would be restarted. */
  essential?: Methods<Method>;
  /** Calls that probes and tools make over and over: logged at debug, unless the server is at fault. */
  quiet?: Methods<Method>;
}

/** Methods by their names in the definition, such as `getTodo`. */
type Methods<Method extends string> = 'all' | readonly Method[];

/** A service of the list in services.ts; `Deps` is what its implementation is made from. */
export interface Service<Deps> {
  readonly definition: TsProtoServiceDefinition;
  readonly policy: Policy;
  /** Makes the implementation and adds it to a server. */
  readonly addTo: (server: Pick<GrpcServer<Additions>, 'add'>, deps: Deps) => void;
}

/** Services that only some servers have, because of a setting. */
export interface OptionalService<Settings, Deps> {
  readonly isEnabled: (settings: Settings) => boolean;
  /** Imports the services and all they need: a server without them does not load it. */
  readonly load: () => Promise<readonly Service<Deps>[]>;
}

/** Checks that definition, implementation and policy fit each other, and makes a `Service` of them. */
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

/** An `OptionalService` of the list in services.ts. */
export function optional<Settings, Deps>(
  entry: OptionalService<Settings, Deps>,
): OptionalService<Settings, Deps> {
  return entry;
}
