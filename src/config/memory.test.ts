import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connectionLimits, leastBufferedBytes, memoryOf } from './memory.ts';

const MiB = 1024 ** 2;
const GiB = 1024 ** 3;
const nothing = { maxConnections: undefined, maxHandshakes: undefined };
const none = { tlsCertFile: undefined, tlsClientCaFile: undefined };
const plaintext = { ...nothing, ...none, healthListen: [] };
const tls = { ...plaintext, tlsCertFile: {}, healthListen: [':50052'] };
const mutualTls = { ...tls, tlsClientCaFile: {} };

test('connectionLimits() uses the whole memory of a pod of 256 MiB with 32 MiB of buffers', () => {
  const pod = { memory: 256 * MiB, maxBufferedBytes: 32 * MiB };

  assert.deepEqual(connectionLimits({ ...pod, ...plaintext }).maxConnections, 5032);
  assert.deepEqual(connectionLimits({ ...pod, ...tls }), {
    maxConnections: 253,
    maxHandshakes: 105,
  });
  assert.deepEqual(connectionLimits({ ...pod, ...mutualTls }), {
    maxConnections: 159,
    maxHandshakes: 13,
  });
});

test('connectionLimits() allows at most 15000 connections and 256 handshakes, however much memory there is', () => {
  const most = { maxConnections: 15_000, maxHandshakes: 256 };
  const buffers = { maxBufferedBytes: 64 * MiB };

  for (const memory of [512 * MiB, GiB, 64 * GiB, undefined]) {
    assert.deepEqual(connectionLimits({ memory, ...buffers, ...plaintext }), most);
  }
  assert.deepEqual(connectionLimits({ memory: 4 * GiB, ...buffers, ...tls }), most);
  const less = connectionLimits({ memory: GiB, ...buffers, ...tls });
  assert.deepEqual(less, { maxConnections: 3655, maxHandshakes: 256 });
});

test('connectionLimits() allows some connections even if memory is short', () => {
  const short = { memory: 64 * MiB, maxBufferedBytes: 64 * MiB };

  assert.deepEqual(connectionLimits({ ...short, ...plaintext }).maxConnections, 1170);
  assert.deepEqual(connectionLimits({ ...short, ...tls }), {
    maxConnections: 76,
    maxHandshakes: 32,
  });
});

test('connectionLimits() keeps limits that are set', () => {
  const set = { maxConnections: 7, maxHandshakes: 1_000_000 };
  const short = { memory: 64 * MiB, maxBufferedBytes: 64 * MiB };

  assert.deepEqual(connectionLimits({ ...short, ...tls, ...set }), set);
  assert.equal(connectionLimits({ ...short, ...tls, maxHandshakes: 1000 }).maxConnections, 76);
});

test("memoryOf() is the container's limit, or else the machine's memory", () => {
  const total = 8 * GiB;
  const memory = (constrained: number | undefined) => memoryOf({ constrained, total });

  assert.equal(memory(256 * MiB), 256 * MiB);
  // A limit above the machine's memory, and the values of cgroup v1 and v2 for no limit.
  for (const none of [16 * GiB, 2 ** 63 - 4096, 2 ** 64, 0, undefined]) {
    assert.equal(memory(none), total);
  }
});

test('leastBufferedBytes() is enough for two messages and their overhead', () => {
  const least = leastBufferedBytes({ maxMessageSize: 4 * MiB, maxHeaderSize: 16 * 1024 });

  assert.equal(least, 8 * MiB + 80 * 1024);
});
