import { Status } from 'nice-grpc-common';
import type { Protocol } from '../engine/index.ts';
import { methodName, otherMethod } from './method_names.ts';

/** A method that has counts of its own, and how metrics call it. */
export interface CountedMethod {
  /** `/service/method`, as calls name it. */
  path: string;
  service: string;
  method: string;
  type: 'unary' | 'client_stream' | 'server_stream' | 'bidi_stream' | 'unknown';
}

/** What the calls of a method have come to: plain numbers, as a call that counts makes no object. */
export interface MethodCounts extends Readonly<CountedMethod> {
  /** As `rpc.method` has it. */
  readonly name: string;
  started: number;
  /** Request messages. */
  received: number;
  /** Response messages. */
  sent: number;
  /** What all calls that have ended took together, in milliseconds. */
  tookMs: number;
  /** Calls that have ended, by status code. */
  readonly handled: Float64Array;
  /** Calls that have ended, by the first of `bucketsMs` that they fit in; in the last, in none. */
  readonly buckets: Float64Array;
  /** Counts a call's end; ms is how long it took. */
  ended(code: Status, ms: number): void;
}

/** The counts of all methods. */
export interface CallCounts {
  /** Those of a method, or those of all calls that name none that is served. */
  of(path: string): MethodCounts;
  all(): readonly MethodCounts[];
  /** Calls that were started, by how they came. */
  readonly protocols: Record<Protocol, number>;
}

/** Upper bounds in milliseconds: those of Prometheus' own libraries, and below them some for calls that wait for nothing. */
export const bucketsMs: readonly number[] = [
  0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000,
];

/** Makes counts for these methods, and one more for whatever else calls may name: no caller adds to them. */
export function createCallCounts(methods: readonly CountedMethod[]): CallCounts {
  const served = new Map(methods.map((method) => [method.path, createMethodCounts(method)]));
  const others = createMethodCounts(unknown, otherMethod);
  const all = [...served.values(), others];
  const protocols = { grpc: 0, 'grpc-web': 0, connect: 0 };
  return { of: (path) => served.get(path) ?? others, all: () => all, protocols };
}

/** How many calls have ended, whatever their status. */
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

/** The highest of gRPC's codes. */
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
