import { Status } from 'nice-grpc-common';
import type { CallCounts } from './call_counts.ts';
import type { ProcessFigures } from './process_metrics.ts';

/** How busy the process is; parts of what it may have, and calls in a second. */
export interface ProcessLoad {
  /** May be above 1, where there is more than it may have. */
  readonly cpuUtilization: number;
  readonly memUtilization: number;
  /** Of the time of the event loop, which is what a server of this kind runs out of first. */
  readonly applicationUtilization: number;
  /** Calls that have ended, in a second. */
  readonly rpsFractional: number;
  /** Those of them that did not end with OK. */
  readonly eps: number;
}

/** What the load is read from. */
export interface LoadSources {
  calls: Pick<CallCounts, 'all'>;
  figures: Pick<ProcessFigures, 'cpuUsage' | 'memoryUsage' | 'eventLoop'>;
  /** Processors, and bytes of memory, that the process may have. */
  capacity: { cpus: number; memory: number };
  /** Milliseconds, on a clock that nobody sets. */
  now: () => number;
}

/** A look at it costs something, and one a second is enough; in milliseconds. */
const minWindow = 1000;

/**
 * Gives the load since it was last asked for, a second ago at least; within that second the same object.
 * Nothing is measured but when somebody asks.
 */
export function createProcessLoad(sources: LoadSources): () => ProcessLoad {
  // No call has ended before there is a server.
  let from: Look = { ...usage(sources), ended: 0, fine: 0 };
  let load = between(from, from, sources);

  return () => {
    if (sources.now() - from.at < minWindow) return load;
    const to = { ...usage(sources), ...endedCalls(sources) };
    load = between(from, to, sources);
    from = to;
    return load;
  };
}

type Look = ReturnType<typeof usage> & ReturnType<typeof endedCalls>;

function usage({ figures, now }: LoadSources) {
  const { user, system } = figures.cpuUsage();
  return { at: now(), cpuMs: (user + system) / 1000, loop: figures.eventLoop() };
}

function endedCalls({ calls }: LoadSources) {
  let ended = 0;
  let fine = 0;
  for (const { handled } of calls.all()) {
    for (const count of handled) ended += count;
    fine += handled[Status.OK] ?? 0;
  }
  return { ended, fine };
}

function between(from: Look, to: Look, { figures, capacity }: LoadSources): ProcessLoad {
  const ms = Math.max(1, to.at - from.at);
  const active = to.loop.active - from.loop.active;
  const ended = to.ended - from.ended;
  return {
    cpuUtilization: (to.cpuMs - from.cpuMs) / ms / capacity.cpus,
    memUtilization: Math.min(1, figures.memoryUsage().rss / capacity.memory),
    applicationUtilization: active / Math.max(1, active + to.loop.idle - from.loop.idle),
    rpsFractional: (ended * 1000) / ms,
    eps: ((ended - (to.fine - from.fine)) * 1000) / ms,
  };
}
