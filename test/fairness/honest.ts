import { once } from 'node:events';
import type { ClientHttp2Session, OutgoingHttpHeaders } from 'node:http2';
import { HealthCheckRequest } from '../../src/gen/grpc/health/v1/health.ts';
import { cpuTime } from '../support/cpu.ts';
import { scriptPaths } from '../support/script.ts';
import { frame } from '../support/raw_client.ts';
import { dialHttp2 } from '../support/tls.ts';

/** The results of an honest client's calls, in milliseconds. */
export interface Times {
  ok: number;
  /** The number of failed calls, by status or other reason. */
  refused: Record<string, number>;
  worst: number;
  /** The maximum CPU time of the server during a call, in steps of 10 ms. */
  busy: number;
  p99: number;
  median: number;
}

/** What an honest client has measured since the last time. */
export interface Seen {
  /** Small calls on one connection, one at a time. */
  calls: Times;
  /** Health/Check on a new connection each, as grpc-health-probe does. */
  probes: Times;
  /** The maximum delay of the client's own timers, which is not the server's fault. */
  lag: number;
}

/** The server to call, and whether calls are compressed. */
export interface HonestOrder {
  address: string;
  /** The process ID of the server. */
  pid: number;
  gzip: boolean;
}

/** A call with one request. */
export interface UnaryCall {
  path: string;
  body: Buffer;
  fields?: OutgoingHttpHeaders;
}

/** The call of an honest client. It asks for no payload, which the service refuses while memory is short. */
export const smallCall: UnaryCall = {
  path: scriptPaths.unary,
  body: frame(Buffer.alloc(0)),
};
/** The kubelet's probe. */
export const check: UnaryCall = {
  path: '/grpc.health.v1.Health/Check',
  body: frame(HealthCheckRequest.encode({ service: 'readiness' }).finish()),
};

/** Responses after this time count as missing. */
export const deadlineMs = 20_000;

/** Makes a call; resolves with its grpc-status, or with the reason why there is none. Never rejects. */
export async function unary(session: ClientHttp2Session, call: UnaryCall): Promise<string> {
  if (session.closed || session.destroyed) return 'no connection';
  const headers = { ':method': 'POST', ':path': call.path, te: 'trailers' };
  const stream = session.request(
    { ...headers, 'content-type': 'application/grpc', ...call.fields },
    { endStream: false },
  );
  let status: unknown;
  const read = (fields: Record<string, unknown>) => (status = fields['grpc-status'] ?? status);
  stream
    .on('response', read)
    .on('trailers', read)
    .on('error', () => {})
    .resume();
  const late = setTimeout(() => {
    status = 'not in time';
    stream.destroy();
  }, deadlineMs);
  stream.end(call.body);
  await once(stream, 'close').catch(() => {});
  clearTimeout(late);
  return typeof status === 'string' ? status : `reset ${stream.rstCode}`;
}

/** Connects; resolves with undefined if that fails. */
export async function dialSession(address: string): Promise<ClientHttp2Session> {
  const { session } = dialHttp2(address);
  const late = setTimeout(() => session.destroy(), deadlineMs);
  await Promise.race([once(session, 'connect').catch(() => {}), once(session, 'close')]);
  clearTimeout(late);
  return session;
}

/** Collects results of calls. */
export class Tally {
  #times: number[] = [];
  #refused: Record<string, number> = {};
  #busy = 0;

  /** Times a call, and counts its result. */
  async time(pid: number, call: () => Promise<string>): Promise<void> {
    const [start, cpu] = [performance.now(), cpuTime(pid)];
    const status = await call();
    this.#times.push(performance.now() - start);
    this.#busy = Math.max(this.#busy, cpuTime(pid) - cpu);
    if (status !== '0') this.#refused[status] = (this.#refused[status] ?? 0) + 1;
  }

  take(): Times {
    const sorted = this.#times.toSorted((a, b) => a - b);
    const [refused, busy] = [this.#refused, this.#busy];
    this.#busy = 0;
    this.#times = [];
    this.#refused = {};
    return {
      ok: sorted.length - sum(Object.values(refused)),
      refused,
      busy,
      worst: sorted.at(-1) ?? 0,
      p99: sorted[Math.floor(sorted.length * 0.99)] ?? 0,
      median: sorted[Math.floor(sorted.length / 2)] ?? 0,
    };
  }
}

/** The sum of numbers. */
export function sum(all: Iterable<number>): number {
  let total = 0;
  for (const one of all) total += one;
  return total;
}
