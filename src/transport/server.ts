import type { ServerMiddleware } from 'nice-grpc-common';
import type { Logger } from 'pino';
import type { Additions, Timed, Traced, WithAuthority } from '../context.ts';
import { deadline } from '../middleware/deadline.ts';
import { hideInternalErrors } from '../middleware/errors.ts';
import { limit } from '../middleware/limit.ts';
import { requestLog, type RequestLogOptions } from '../middleware/request_log.ts';
import type { CallCounts } from '../observability/call_counts.ts';
import type { Service } from '../services/service.ts';
import { exemptIn } from './catalogue.ts';
import type { Engine, EngineAdditions } from './engine_types.ts';
import { withOwnCodec } from './own_codec.ts';

/** Dependencies of the chain. */
export interface ChainDeps {
  /** The outermost middleware, on a server that traces; see middleware/trace.ts. */
  trace?: ServerMiddleware<Traced, Timed & WithAuthority> | undefined;
  log: Logger;
  /** Which calls are logged; all by default. */
  accessLog?: RequestLogOptions['accessLog'];
  counts: CallCounts;
  /** Milliseconds; see middleware/deadline.ts. */
  deadlines: { max: number; fallback: number | undefined };
  /** The maximum number of open calls; see middleware/limit.ts. */
  maxInFlight: number;
  /** Injects faults, on a server that does; see faults/middleware.ts. */
  faults?: Faults | undefined;
  /** The innermost middleware, on a server that reports its load with each call; see middleware/load_report.ts. */
  loadReport?: ServerMiddleware | undefined;
}

/** The injection of faults. */
interface Faults {
  middleware: ServerMiddleware<{}, EngineAdditions>;
  /** The trailer that lists the injected faults. */
  injected: `x-${string}`;
}

/** The services and their dependencies. */
interface Served<Deps> {
  services: readonly Service<Deps>[];
  deps: Deps;
}

/** Adds the middleware chain. From top to bottom, it is the order in which a call passes. */
export function withChain(
  engine: Engine,
  { trace, log, accessLog, counts, deadlines, maxInFlight, faults, loadReport }: ChainDeps,
  services: readonly Service<never>[] = [],
): Engine<Additions> {
  // use() returns a new server, so the last one must be used.
  const traced: Engine<EngineAdditions & Traced> = trace ? engine.use(trace) : engine;
  const { longLived, quiet } = exemptIn(services);
  const limited = traced
    .use(requestLog({ log, accessLog, counts, quiet, injected: faults?.injected }))
    .use(hideInternalErrors)
    .use(deadline({ ...deadlines, exempt: longLived }))
    .use(limit({ max: maxInFlight }));
  const faulty = faults ? limited.use(faults.middleware) : limited;
  return loadReport ? faulty.use(loadReport) : faulty;
}

/** Builds the server, which does not listen yet: the chain, then the services. */
export function buildServer<Deps>(
  engine: Engine,
  { services, deps, ...chain }: ChainDeps & Served<Deps>,
): Engine<object> {
  const server = withChain(engine, chain, services);
  const add: typeof server.add = (definition, implementation) =>
    server.add(withOwnCodec(definition), implementation);
  for (const service of services) service.addTo({ add }, deps);
  return server;
}
