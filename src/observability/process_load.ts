import { Status } from 'nice-grpc-common';
import type { CallCounts } from './call_counts.ts';
import type { ProcessFigures } from './process_metrics.ts';

/** The load of the process: utilization as ratios, and rates per second. */
export interface ProcessLoad {
  /** May exceed 1, if the process uses more than its CPU limit. */
  readonly cpuUtilization: number;
  readonly memUtilization: number;
  /** The utilization of the event loop, which is this server's bottleneck. */
  readonly applicationUtilization: number;
  /** Ended calls per second. */
  readonly rpsFractional: number;
  /** Those with a status other than OK. */
  readonly eps: number;
}

/** The sources of the load. */
export interface LoadSources {
  calls: Pick<CallCounts, 'all'>;
  figures: Pick<ProcessFigures, 'cpuUsage' | 'memoryUsage' | 'eventLoop'>;
  /** The processors, and the bytes of memory, available to the process. */
  capacity: { cpus: number; memory: number };
  /** Milliseconds on a monotonic clock. */
  now: () => number;
}

/** The minimum interval between measurements in milliseconds, as each has a cost. */
const minWindow = 1000;

/**
 * Returns the load since the last measurement, at least a second ago; within a second it returns the same object. It
 * measures only when it is called.
 */
export function createProcessLoad(sources: LoadSources): () => ProcessLoad {
  // No call has ended before the server starts.
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
