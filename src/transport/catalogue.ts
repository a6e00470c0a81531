import type { Additions } from '../context.ts';
import { GreeterDefinition as GreetDefinition } from '../gen/greet.ts';
import { HealthDefinition } from '../gen/grpc/health/v1/health.ts';
import { ServerReflectionDefinition as ReflectionDefinition } from '../gen/grpc/reflection/v1/reflection.ts';
import { ServerReflectionDefinition as ReflectionAlphaDefinition } from '../gen/grpc/reflection/v1alpha/reflection.ts';
import { HelloDefinition } from '../gen/hello.ts';
import { GreeterDefinition as HelloworldDefinition } from '../gen/helloworld.ts';
import { SampleServiceDefinition } from '../gen/sample.ts';
import { UnaryDefinition } from '../gen/unary.ts';
import type { CountedMethod } from '../observability/call_counts.ts';
import type { Engine } from './engine_types.ts';
import { pathOf, pathsOf } from './paths.ts';

/** A service that only some servers have: what it takes is loaded only there. */
export interface Extra {
  definition: Definition;
  /** Whether its calls are meant to stay open, with no deadline but their caller's. */
  stays?: boolean;
  /** Puts it behind the chain of a server. */
  addTo: (server: Pick<Engine<Additions>, 'add'>) => void;
}

interface Definition {
  readonly fullName: string;
  readonly methods: object;
}

interface Method {
  name: string;
  requestStream: boolean;
  responseStream: boolean;
}

const definitions: readonly Definition[] = [
  UnaryDefinition,
  HelloDefinition,
  SampleServiceDefinition,
  HelloworldDefinition,
  GreetDefinition,
  HealthDefinition,
  ReflectionDefinition,
  ReflectionAlphaDefinition,
];

const staying: readonly string[] = [
  pathOf(HealthDefinition, HealthDefinition.methods.watch),
  ...[ReflectionDefinition, ReflectionAlphaDefinition].flatMap(pathsOf),
];

/** The full names of the services, as health and reflection tell them. */
export function servedNames(extras: readonly Extra[] = []): readonly string[] {
  return all(extras).map(({ fullName }) => fullName);
}

/** Every method, as metrics name it. */
export function servedMethods(extras: readonly Extra[] = []): readonly CountedMethod[] {
  return all(extras).flatMap((definition) =>
    Object.values<Method>({ ...definition.methods }).map((method) => counted(definition, method)),
  );
}

/** The paths of calls that are meant to stay open: no deadline but their caller's. */
export function stayingPaths(extras: readonly Extra[] = []): ReadonlySet<string> {
  const more = extras.filter(({ stays }) => stays).flatMap(({ definition }) => pathsOf(definition));
  return new Set([...staying, ...more]);
}

/** Those of calls that say how the server is, and what it is: it answers them when it takes no others. */
export const unlimitedPaths: ReadonlySet<string> = new Set([
  ...staying,
  ...pathsOf(HealthDefinition),
]);

function all(extras: readonly Extra[]): readonly Definition[] {
  return [...definitions, ...extras.map(({ definition }) => definition)];
}

function counted(definition: Definition, method: Method): CountedMethod {
  const { name, requestStream, responseStream } = method;
  const names = { path: pathOf(definition, method), service: definition.fullName, method: name };
  if (requestStream) return { ...names, type: responseStream ? 'bidi_stream' : 'client_stream' };
  return { ...names, type: responseStream ? 'server_stream' : 'unary' };
}
