// An honest client in its own process: it makes calls from its first order on, and answers each `take` with the
// results since the last one.
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { packed } from '../support/raw_client.ts';
import {
  check,
  dialSession,
  smallCall,
  type HonestOrder,
  type Seen,
  Tally,
  unary,
  type UnaryCall,
} from './honest.ts';

const callEveryMs = 5;
const probeEveryMs = 100;
/** The maximum number of concurrent probes. */
const maxProbes = 50;

const calls = new Tally();
const probes = new Tally();
const pending = new Set<Promise<void>>();
let lag = 0;

process.on('message', (order: HonestOrder | 'take') => {
  if (order === 'take') void take().then((seen) => process.send?.(seen));
  else begin(order);
});
process.on('disconnect', () => process.exit());

function begin({ address, pid, gzip }: HonestOrder): void {
  void callAgain(address, pid, gzip ? compressed(smallCall) : smallCall);
  setInterval(() => {
    if (pending.size < maxProbes) void track(probes.time(pid, () => probe(address)));
  }, probeEveryMs);
  watchLag();
  process.send?.('begun');
}

/** Calls that have begun count in this result, later ones in the next. */
async function take(): Promise<Seen> {
  await Promise.all(pending);
  const seen = { calls: calls.take(), probes: probes.take(), lag };
  lag = 0;
  return seen;
}

function compressed({ path, body }: UnaryCall): UnaryCall {
  return { path, body: packed(gzipSync(body.subarray(5))), fields: { 'grpc-encoding': 'gzip' } };
}

async function callAgain(address: string, pid: number, call: UnaryCall): Promise<void> {
  let session = await dialSession(address);
  while (true) {
    const start = performance.now();
    const ask = async () => {
      if (session.closed || session.destroyed) session = await dialSession(address);
      return unary(session, call);
    };
    await track(calls.time(pid, ask));
    await sleep(Math.max(0, callEveryMs - (performance.now() - start)));
  }
}

async function probe(address: string): Promise<string> {
  const session = await dialSession(address);
  const status = await unary(session, check);
  session.destroy();
  return status;
}

function track(work: Promise<void>): Promise<void> {
  const tracked = work.finally(() => pending.delete(tracked));
  pending.add(tracked);
  return tracked;
}

function watchLag(): void {
  let before = performance.now();
  setInterval(() => {
    const now = performance.now();
    lag = Math.max(lag, now - before - callEveryMs);
    before = now;
  }, callEveryMs);
}
