import { type Metadata, Status } from 'nice-grpc-common';
import { invalidArgument } from '../errors.ts';
import type { Fault } from './fault.ts';

/** The metadata of gRPC's xDS test servers. */
export const rpcBehavior = 'rpc-behavior';
const previousAttempts = 'grpc-previous-rpc-attempts';

/** The number of earlier attempts of a call (gRFC A6). Throws INVALID_ARGUMENT for what is no number. */
export function attemptsBefore(metadata: Metadata): number {
  const text = metadata.get(previousAttempts);
  if (text === undefined) return 0;
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw invalidArgument(previousAttempts, 'must be a number');
}

/** The number of earlier attempts of a proxy, by Envoy's x-envoy-attempt-count, which counts from 1; 0 without it. */
export function proxyAttemptsBefore(metadata: Metadata): number {
  const text = metadata.get('x-envoy-attempt-count') ?? '';
  return /^[1-9]\d{0,8}$/.test(text) ? Number(text) - 1 : 0;
}

/**
 * The faults of `rpc-behavior`, as gRPC's xDS test servers have them (grpc-go's interop/xds/server, grpc-java's
 * XdsTestServer): steps in order, until one decides. Unknown steps are ignored. Throws INVALID_ARGUMENT for a known one
 * that is malformed.
 */
export function ofRpcBehavior(metadata: Metadata, hostname: string): readonly Fault[] {
  const faults: Fault[] = [];
  for (const value of metadata.getAll(rpcBehavior)) {
    for (const entry of value.split(',')) {
      const step = stepFor(entry, hostname);
      if (step === undefined) continue;
      const fault = faultOf(step);
      if (fault === 'succeed') {
        if (numberIn(step, succeedOnAttempt) === attemptsBefore(metadata)) return faults;
      } else if (fault) {
        faults.push(fault);
        if (fault.kind !== 'delay') return faults;
      }
    }
  }
  return faults;
}

const sleep = 'sleep-';
const keepOpen = 'keep-open';
const errorCode = 'error-code-';
const succeedOnAttempt = 'succeed-on-retry-attempt-';
const hostPrefix = 'hostname=';

/** The step of an entry; undefined if it is for another host. */
function stepFor(entry: string, hostname: string): string | undefined {
  if (!entry.startsWith(hostPrefix)) return entry;
  const [host = '', step] = entry.slice(hostPrefix.length).split(' ');
  if (step === undefined) throw invalidArgument(rpcBehavior, 'must be "hostname=HOST STEP"');
  return host === hostname ? step : undefined;
}

function faultOf(step: string): Fault | 'succeed' | undefined {
  if (step.startsWith(sleep)) {
    const ms = numberIn(step, sleep) * 1000;
    return { kind: 'delay', ms: [ms, ms], after: 0 };
  }
  if (step.startsWith(keepOpen)) return { kind: 'hang', after: 0 };
  if (step.startsWith(errorCode)) {
    const code = numberIn(step, errorCode);
    const message = `rpc failed as per the rpc-behavior header value: ${step}`;
    return code === 0 ? undefined : { kind: 'status', code, after: 0, message };
  }
  return step.startsWith(succeedOnAttempt) ? 'succeed' : undefined;
}

function numberIn(step: string, prefix: string): number {
  const text = step.slice(prefix.length);
  if (/^\d{1,6}$/.test(text)) return Number(text);
  throw invalidArgument(rpcBehavior, `must have a number after "${prefix}"`);
}

/** The metadata of Envoy's fault filter. */
const envoy = {
  abort: 'x-envoy-fault-abort-request',
  abortGrpc: 'x-envoy-fault-abort-grpc-request',
  abortPercentage: 'x-envoy-fault-abort-request-percentage',
  delay: 'x-envoy-fault-delay-request',
  delayPercentage: 'x-envoy-fault-delay-request-percentage',
  throughput: 'x-envoy-fault-throughput-response',
  throughputPercentage: 'x-envoy-fault-throughput-response-percentage',
} as const;

/** The names of Envoy's metadata that ask for a fault. */
export const envoyNames: readonly string[] = [
  envoy.abort,
  envoy.abortGrpc,
  envoy.delay,
  envoy.throughput,
];

/**
 * The faults of Envoy's headers (https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/fault_filter,
 * gRFC A33): first the delay, then the abort. As there, only the first value of a name counts, and an invalid one is
 * ignored.
 */
export function ofEnvoy(metadata: Metadata): readonly Fault[] {
  const number = (name: (typeof envoy)[keyof typeof envoy]) => {
    const text = metadata.get(name);
    return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined;
  };
  const probability = (name: Parameters<typeof number>[0]) =>
    Math.min(100, number(name) ?? 100) / 100;
  const faults: Fault[] = [];
  const ms = number(envoy.delay);
  if (ms) {
    faults.push({ kind: 'delay', ms: [ms, ms], after: 0, p: probability(envoy.delayPercentage) });
  }
  const kibs = number(envoy.throughput);
  if (kibs) {
    faults.push({ kind: 'rate', bytes: 1024 * kibs, p: probability(envoy.throughputPercentage) });
  }
  const http = number(envoy.abort);
  const code =
    http !== undefined && http >= 200 && http < 600 ? statusOfHttp(http) : number(envoy.abortGrpc);
  if (code) {
    const message = 'fault filter abort';
    faults.push({ kind: 'status', code, after: 0, message, p: probability(envoy.abortPercentage) });
  }
  return faults;
}

/** The gRPC status of an HTTP status (https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md). */
export function statusOfHttp(status: number): Status {
  switch (status) {
    case 400:
      return Status.INTERNAL;
    case 401:
      return Status.UNAUTHENTICATED;
    case 403:
      return Status.PERMISSION_DENIED;
    case 404:
      return Status.UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
      return Status.UNAVAILABLE;
    default:
      return Status.UNKNOWN;
  }
}
