import assert from 'node:assert/strict';
import { once } from 'node:events';
import { get } from 'node:http';
import { type ClientHttp2Session, connect } from 'node:http2';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  HealthCheckRequest,
  HealthCheckResponse,
  HealthCheckResponse_ServingStatus,
  HealthDefinition,
} from '../../src/gen/grpc/health/v1/health.ts';
import type { CertificatePair } from '../support/certificate.ts';
import { pathOf } from '../../src/transport/paths.ts';
import { messageOf } from '../../src/message_of.ts';
import { frame, unframe } from '../support/raw_client.ts';
import { eventually } from '../support/harness.ts';

/** A repeated check of a server. */
export interface Probe {
  name: string;
  /** Rejects if the server does not serve, or not before the signal. */
  ask: (signal: AbortSignal) => Promise<void>;
  close?: () => void;
}

/** The results of a probe. */
export interface ProbeReport {
  answered: number;
  /** Milliseconds. */
  slowest: number;
  /** The number of failures by message. */
  failures: ReadonlyMap<string, number>;
}

/** Running probes. */
export interface Probing {
  /** Resolves when each probe has run so many more times. */
  more(count: number): Promise<void>;
  /** Resolves when each probe has run so many times in total. */
  inAll(count: number): Promise<void>;
  stop(): Promise<ProbeReport>;
}

const intervalMs = 50;

/** Runs each probe repeatedly, with a pause, until it is stopped; each has a deadline in milliseconds. */
export function startProbes(probes: readonly Probe[], deadlineMs: number): Probing {
  const failures = new Map<string, number>();
  const asked = probes.map(() => 0);
  let answered = 0;
  let slowest = 0;
  const stopped = new AbortController();
  const all = Promise.all(probes.map(repeat));
  return {
    more: (count) => inAll(Math.min(...asked) + count),
    inAll,
    async stop() {
      stopped.abort();
      await all;
      return { answered, slowest, failures };
    },
  };

  async function inAll(count: number): Promise<void> {
    await eventually('probes', () => Math.min(...asked) >= count);
  }

  async function repeat(probe: Probe, index: number): Promise<void> {
    while (!stopped.signal.aborted) {
      await ask(probe);
      asked[index] = (asked[index] ?? 0) + 1;
      await sleep(intervalMs, undefined, stopped).catch(() => {});
    }
    probe.close?.();
  }

  async function ask({ name, ask }: Probe): Promise<void> {
    const start = performance.now();
    try {
      await ask(AbortSignal.timeout(deadlineMs));
      answered++;
    } catch (error) {
      const failure = `${name}: ${messageOf(error)}`;
      failures.set(failure, (failures.get(failure) ?? 0) + 1);
    }
    slowest = Math.max(slowest, performance.now() - start);
  }
}

/** The server that a probe calls. */
export interface Asked {
  name: string;
  origin: string;
  /** The client certificate, if one is required. */
  identity: CertificatePair | undefined;
}

/** A probe like the kubelet's, on a new connection each time. */
export function newConnection({ name, ...asked }: Asked): Probe {
  return {
    name: `${name}, new connection`,
    async ask(signal) {
      const client = dial(asked);
      try {
        await check(client, signal);
      } finally {
        client.session.destroy();
      }
    },
  };
}

/** A client that keeps its connection, and reconnects when it is closed. */
export function keptConnection({ name, ...asked }: Asked): Probe {
  let client: Client | undefined;
  return {
    name: `${name}, kept connection`,
    async ask(signal) {
      client ??= dial(asked);
      const forget = () => (client = undefined);
      if (!client.isKept) client.session.once('goaway', forget).once('close', forget);
      client.isKept = true;
      await check(client, signal);
    },
    close: () => client?.session.destroy(),
  };
}

/** A client of /readyz on the admin port. */
export function readiness(port: number): Probe {
  return {
    name: 'admin port',
    async ask(signal) {
      const request = get({ host: '127.0.0.1', port, path: '/readyz', agent: false, signal });
      const [response] = await once(request, 'response');
      response.resume();
      assert.equal(response.statusCode, 200);
    },
  };
}

interface Client {
  session: ClientHttp2Session;
  /** The last step that was reached, for the message of a failure. */
  reached: string;
  isKept: boolean;
}

function dial({ origin, identity }: Omit<Asked, 'name'>): Client {
  const session = connect(origin, { rejectUnauthorized: false, ...identity });
  const client = { session, reached: 'no connection', isKept: false };
  session
    .on('error', () => {})
    .once('connect', () => (client.reached = 'a connection, no SETTINGS'))
    .once('remoteSettings', () => (client.reached = 'SETTINGS, no response'));
  return client;
}

const path = pathOf(HealthDefinition, HealthDefinition.methods.check);
const request = frame(HealthCheckRequest.encode({ service: 'readiness' }).finish());

async function check(client: Client, signal: AbortSignal): Promise<void> {
  const headers = { ':method': 'POST', ':path': path, 'content-type': 'application/grpc' };
  const stream = client.session.request({ ...headers, te: 'trailers' }, { endStream: false });
  let hasBegun = false;
  const abort = () => {
    const reached = hasBegun ? 'a response, no end of it' : client.reached;
    stream.destroy(new Error(`no answer in time: ${reached}`));
  };
  signal.addEventListener('abort', abort);
  try {
    let status: unknown;
    const chunks: Buffer[] = [];
    stream.on('response', (fields) => {
      hasBegun = true;
      status = fields['grpc-status'];
    });
    stream.on('trailers', (fields) => (status = fields['grpc-status']));
    stream.on('data', (chunk: Buffer) => void chunks.push(chunk));
    stream.end(request);
    await once(stream, 'close');
    if (status !== '0') throw new Error(`ended with status ${String(status)}`);
    const [message = assert.fail('no response')] = unframe(Buffer.concat(chunks));
    const { SERVING } = HealthCheckResponse_ServingStatus;
    assert.equal(HealthCheckResponse.decode(message).status, SERVING, 'does not serve');
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
