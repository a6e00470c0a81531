import type { ServerMiddleware } from 'nice-grpc-common';
import type { Logger } from 'pino';
import type { Additions, Dialled, Timed, Traced } from '../context.ts';
import { deadline } from '../middleware/deadline.ts';
import { hideInternalErrors } from '../middleware/errors.ts';
import { limit } from '../middleware/limit.ts';
import { requestLog, type RequestLogOptions } from '../middleware/request_log.ts';
import type { CallCounts } from '../observability/call_counts.ts';
import type { Service } from '../services/service.ts';
import { exemptIn } from './catalogue.ts';
import type { Engine, EngineAdditions } from './engine_types.ts';
import { withOwnCodec } from './own_codec.ts';

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
  /** Innermost, on a server that reports its load with each call; see middleware/load_report.ts. */
  loadReport?: ServerMiddleware | undefined;
}

/** What the server serves, and what that is made from. */
interface Served<Deps> {
  services: readonly Service<Deps>[];
  deps: Deps;
}

/** Puts the chain before every service. Read it top to bottom: that is a call's way in. */
export function withChain(
  engine: Engine,
  { trace, log, accessLog, counts, deadlines, maxInFlight, loadReport }: ChainDeps,
  services: readonly Service<never>[] = [],
): Engine<Additions> {
  // use() returns a new server: keep the last one, or the chain is lost.
  const traced: Engine<EngineAdditions & Traced> = trace ? engine.use(trace) : engine;
  const { longLived, quiet } = exemptIn(services);
  const limited = traced
    .use(requestLog({ log, accessLog, counts, quiet }))
    .use(hideInternalErrors)
    .use(deadline({ ...deadlines, exempt: longLived }))
    .use(limit({ max: maxInFlight }));
  return loadReport ? limited.use(loadReport) : limited;
}

/** Builds the server, not yet listening: the chain, and behind it the services. */
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
