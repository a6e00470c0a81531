import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Status } from 'nice-grpc-common';
import { createCallCounts } from './call_counts.ts';
import { createProcessLoad } from './process_load.ts';

/** A process whose load the test controls. */
function busyProcess() {
  const counts = createCallCounts([]);
  const is = { now: 5000, cpuMs: 700, rss: 100, active: 50, idle: 50 };
  const load = createProcessLoad({
    calls: counts,
    figures: {
      cpuUsage: () => ({ user: is.cpuMs * 900, system: is.cpuMs * 100 }),
      memoryUsage: () => ({ rss: is.rss, heapTotal: 0, heapUsed: 0, external: 0 }),
      eventLoop: () => ({ active: is.active, idle: is.idle }),
    },
    capacity: { cpus: 2, memory: 400 },
    now: () => is.now,
  });
  return { is, load, ended: (code: Status) => counts.of('').ended(code, 1) };
}

test('processLoad() measures the load since the last measurement', () => {
  const { is, load, ended } = busyProcess();
  for (const code of [Status.OK, Status.OK, Status.OK, Status.NOT_FOUND]) ended(code);
  Object.assign(is, { now: 7000, cpuMs: 1700, rss: 300, active: 550, idle: 1550 });

  const first = load();
  Object.assign(is, { now: 9000, rss: 500 });
  const second = load();

  assert.deepEqual(first, {
    cpuUtilization: 0.25,
    memUtilization: 0.75,
    applicationUtilization: 0.25,
    rpsFractional: 2,
    eps: 0.5,
  });
  assert.deepEqual(second, {
    cpuUtilization: 0,
    memUtilization: 1,
    applicationUtilization: 0,
    rpsFractional: 0,
    eps: 0,
  });
});

test('processLoad() measures at most once a second', () => {
  const { is, load } = busyProcess();
  is.now += 1000;
  const first = load();

  is.now += 999;
  is.cpuMs += 500;
  assert.equal(load(), first);
  is.now += 1;
  assert.notEqual(load(), first);
});
