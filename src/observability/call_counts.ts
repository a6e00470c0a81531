import { Status } from 'nice-grpc-common';
import type { Protocol } from '../engine/index.ts';
import { methodName, otherMethod } from './method_names.ts';

/** A method with its own counters, and its names in metrics. */
export interface CountedMethod {
  /** `/service/method`, as in calls. */
  path: string;
  service: string;
  method: string;
  type: 'unary' | 'client_stream' | 'server_stream' | 'bidi_stream' | 'unknown';
}

/** The counters of a method: plain numbers, so that counting allocates nothing. */
export interface MethodCounts extends Readonly<CountedMethod> {
  /** The value of `rpc.method`. */
  readonly name: string;
  started: number;
  /** Request messages. */
  received: number;
  /** Response messages. */
  sent: number;
  /** The total duration of ended calls, in milliseconds. */
  tookMs: number;
  /** Ended calls by status code. */
  readonly handled: Float64Array;
  /** Ended calls by the first of `bucketsMs` that they fit in; the last element counts those that fit in none. */
  readonly buckets: Float64Array;
  /** Counts an ended call and its duration in milliseconds. */
  ended(code: Status, ms: number): void;
}

/** The counters of all methods. */
export interface CallCounts {
  /** The counters of a method; all unknown methods share one. */
  of(path: string): MethodCounts;
  all(): readonly MethodCounts[];
  /** Started calls, by protocol. */
  readonly protocols: Record<Protocol, number>;
}

/** Upper bounds in milliseconds: those of Prometheus client libraries, with smaller ones for fast calls. */
export const bucketsMs: readonly number[] = [
  0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000,
];

/** Creates counters for these methods, and one for all others, so that callers cannot add series. */
export function createCallCounts(methods: readonly CountedMethod[]): CallCounts {
  const served = new Map(methods.map((method) => [method.path, createMethodCounts(method)]));
  const others = createMethodCounts(unknown, otherMethod);
  const all = [...served.values(), others];
  const protocols = { grpc: 0, 'grpc-web': 0, connect: 0 };
  return { of: (path) => served.get(path) ?? others, all: () => all, protocols };
}

/** The number of ended calls. */
export function endedCalls(counts: CallCounts): number {
  let sum = 0;
  for (const { handled } of counts.all()) for (const count of handled) sum += count;
  return sum;
}

const unknown: CountedMethod = {
  path: '',
  service: 'unknown',
  method: 'unknown',
  type: 'unknown',
};

/** The highest gRPC status code. */
const lastCode = Status.UNAUTHENTICATED;

function createMethodCounts(method: CountedMethod, name = methodName(method.path)): MethodCounts {
  const counts = {
    ...method,
    name,
    started: 0,
    received: 0,
    sent: 0,
    tookMs: 0,
    handled: new Float64Array(lastCode + 1),
    buckets: new Float64Array(bucketsMs.length + 1),
    ended(code: Status, ms: number) {
      add(counts.handled, code <= lastCode ? code : Status.UNKNOWN);
      add(counts.buckets, bucketOf(ms));
      counts.tookMs += Math.max(0, ms);
    },
  };
  return counts;
}

function add(counts: Float64Array, at: number): void {
  counts[at] = (counts[at] ?? 0) + 1;
}

function bucketOf(ms: number): number {
  let bucket = 0;
  for (const most of bucketsMs) {
    if (ms <= most) break;
    bucket++;
  }
  return bucket;
}
