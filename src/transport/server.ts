import type { ServerMiddleware } from 'nice-grpc-common';
import type { Logger } from 'pino';
import type { Additions, Call, Dialled, Timed, Traced } from '../context.ts';
import {
  GreeterDefinition as GreetDefinition,
  type GreeterServiceImplementation as Greet,
} from '../gen/greet.ts';
import {
  HealthDefinition,
  type HealthServiceImplementation,
} from '../gen/grpc/health/v1/health.ts';
import {
  ServerReflectionDefinition as ReflectionDefinition,
  type ServerReflectionServiceImplementation as Reflection,
} from '../gen/grpc/reflection/v1/reflection.ts';
import { ServerReflectionDefinition as ReflectionAlphaDefinition } from '../gen/grpc/reflection/v1alpha/reflection.ts';
import { HelloDefinition, type HelloServiceImplementation } from '../gen/hello.ts';
import {
  GreeterDefinition as HelloworldDefinition,
  type GreeterServiceImplementation as Helloworld,
} from '../gen/helloworld.ts';
import { SampleServiceDefinition, type SampleServiceImplementation } from '../gen/sample.ts';
import { UnaryDefinition, type UnaryServiceImplementation } from '../gen/unary.ts';
import { deadline } from '../middleware/deadline.ts';
import { hideInternalErrors } from '../middleware/errors.ts';
import { limit } from '../middleware/limit.ts';
import { requestLog, type RequestLogOptions } from '../middleware/request_log.ts';
import type { CallCounts } from '../observability/call_counts.ts';
import { type Extra, stayingPaths } from './catalogue.ts';
import type { Engine, EngineAdditions } from './engine_types.ts';
import { withOwnCodec } from './own_codec.ts';

/** The rules of every service. */
interface Services {
  unary: UnaryServiceImplementation<Call>;
  hello: HelloServiceImplementation<Call>;
  sample: SampleServiceImplementation<Call>;
  helloworld: Helloworld<Call>;
  greet: Greet<Call>;
  health: HealthServiceImplementation<Call>;
  reflection: Reflection<Call>;
}

/** What the chain is made of. */
export interface ChainDeps {
  /** Outermost, on a server that traces; see middleware/trace.ts. */
  trace?: ServerMiddleware<Traced, Timed & Dialled> | undefined;
  log: Logger;
  /** Which calls have a line there; all, if it is left out. */
  accessLog?: RequestLogOptions['accessLog'];
  counts: CallCounts;
  /** Milliseconds; see middleware/deadline.ts. */
  deadlines: { max: number; fallback: number | undefined };
  /** How many calls may be open on this server; see middleware/limit.ts. */
  maxInFlight: number;
  /** What this server serves besides. */
  extras?: readonly Extra[];
  /** Innermost, on a server that reports its load with each call; see middleware/load_report.ts. */
  loadReport?: ServerMiddleware | undefined;
}

/** Puts the chain before every service. Read it top to bottom: that is a call's way in. */
export function withChain(
  engine: Engine,
  { trace, log, accessLog, counts, deadlines, maxInFlight, extras, loadReport }: ChainDeps,
): Engine<Additions> {
  // use() returns a new server: keep the last one, or the chain is lost.
  const traced: Engine<EngineAdditions & Traced> = trace ? engine.use(trace) : engine;
  const limited = traced
    .use(requestLog({ log, accessLog, counts }))
    .use(hideInternalErrors)
    .use(deadline({ ...deadlines, exempt: stayingPaths(extras) }))
    .use(limit({ max: maxInFlight }));
  return loadReport ? limited.use(loadReport) : limited;
}

/** Builds the server, not yet listening: the chain, and behind it the services. */
export function buildServer(
  engine: Engine,
  { services, ...chain }: ChainDeps & { services: Services },
): Engine<object> {
  const server = withChain(engine, chain);
  const add: Adds['add'] = (definition, implementation) =>
    server.add(withOwnCodec(definition), implementation);
  add(UnaryDefinition, services.unary);
  add(HelloDefinition, services.hello);
  add(SampleServiceDefinition, services.sample);
  add(HelloworldDefinition, services.helloworld);
  add(GreetDefinition, services.greet);
  add(HealthDefinition, services.health);
  add(ReflectionDefinition, services.reflection);
  add(ReflectionAlphaDefinition, services.reflection);
  for (const extra of chain.extras ?? []) extra.addTo({ add });
  return server;
}

type Adds = Parameters<Extra['addTo']>[0];
