import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withRandom } from '../../../test/hpack/random.ts';
import { createPeer } from '../../../test/support/http2_peer.ts';
import { unbounded } from '../scheduler.ts';
import { createSecrets, scatter, StreamIndex } from './open_streams.ts';
import type { Stream } from './stream.ts';

/** Streams with these identifiers, in order. */
function streamsOf(ids: readonly number[]): Stream[] {
  const peer = createPeer({ maxConcurrentStreams: ids.length });
  return ids.map((id) => peer.open(id).stream);
}

test('StreamIndex finds what a Map finds, whatever the identifiers', async () => {
  await withRandom((random) => {
    // A step of a power of two maps all identifiers to one slot of a table of that size.
    const step = 2 ** (1 + random.below(8));
    const streams = streamsOf(Array.from({ length: 40 }, (_, at) => 1 + at * step));
    const index = new StreamIndex<Stream>();
    const map = new Map<number, Stream>();
    for (let turn = 0; turn < 500; turn++) {
      const stream = streams[random.below(streams.length)];
      assert.ok(stream);
      if (map.has(stream.id) || random.oneIn(4)) {
        index.delete(stream.id);
        map.delete(stream.id);
      } else {
        index.add(stream);
        map.set(stream.id, stream);
      }

      assert.equal(index.size, map.size);
      assert.deepEqual(new Set(index.all()), new Set(map.values()));
      for (const { id } of streams) assert.equal(index.get(id), map.get(id));
    }
  });
});

test('StreamIndex shrinks when it is empty', () => {
  const streams = streamsOf(Array.from({ length: 1000 }, (_, at) => 1 + 2 * at));
  const index = new StreamIndex<Stream>();

  for (let round = 0; round < 2; round++) {
    for (const stream of streams) index.add(stream);
    assert.equal(index.size, 1000);
    for (const { id } of streams) index.delete(id);

    assert.deepEqual([index.size, index.all(), index.get(1)], [0, [], undefined]);
  }
});

/** An item that counts how often it is examined. */
class Counted {
  behind: Counted | undefined;
  readonly #id: number;
  static looks = 0;

  constructor(id: number) {
    this.#id = id;
  }

  get id(): number {
    Counted.looks++;
    return this.#id;
  }
}

/** The average number of items that a lookup examines if these identifiers are open. */
function looksFor(ids: readonly number[]): number {
  const index = new StreamIndex<Counted>();
  for (const id of ids) index.add(new Counted(id));
  Counted.looks = 0;
  for (const id of ids) assert.ok(index.get(id));
  return Counted.looks / ids.length;
}

test('StreamIndex examines one stream per lookup for consecutive identifiers', () => {
  for (const open of [1, 10, 100, 500]) {
    assert.equal(looksFor(Array.from({ length: open }, (_, at) => 1 + 2 * at)), 1);
  }
});

test('StreamIndex examines hardly more than one stream for scattered identifiers', () => {
  for (const step of [2, 6, 4096, 4098, 65_536, 2 ** 21]) {
    const ids = Array.from({ length: 1000 }, (_, at) => 1 + at * step);

    const looks = looksFor(ids);

    // The expectation is 1.25 for random slots; the three runs of one step may share theirs.
    assert.ok(looks <= 2, `${looks} looks with ${step} between them`);
  }
});

test('StreamIndex examines hardly more than one stream for identifiers that collide in another process', () => {
  const theirs = createSecrets();
  const ids: number[] = [];
  for (let run = 0; ids.length < 500; run++) {
    if (scatter(run, theirs) % 2048 === 0) ids.push(1 + run * 2048);
  }

  const looks = looksFor(ids);

  assert.ok(looks <= 2, `${looks} looks`);
});

test('streams of a closed connection are charged until they are notified, or others need the memory', () => {
  const tasks: (() => void)[] = [];
  const wait = (task: () => void) => void tasks.push(task);
  const flow = { ...unbounded, isSpent: false, wait };
  const peer = createPeer({}, { flow });
  const served = [1, 3, 5, 7].map((id) => peer.open(id));
  const told = () => served.filter(({ events }) => events.length > 0).length;
  const closed: number[] = [];

  flow.isSpent = true;
  peer.connection.close(() => closed.push(told()));
  const atOnce = [told(), peer.account.streams, served.every(({ stream }) => stream.closed)];
  tasks.shift()?.();
  const inTurn = [told(), peer.account.streams];
  const freed = peer.connection.evict('streams', -1);
  const evicted = [told(), peer.account.streams];
  tasks.shift()?.();

  assert.deepEqual(atOnce, [1, 3, true]);
  assert.deepEqual(inTurn, [2, 2]);
  assert.ok(freed > 0);
  assert.deepEqual(evicted, [3, 1]);
  assert.deepEqual([told(), peer.account.streams, closed], [4, 0, [4]]);
  assert.deepEqual(served[0]?.events, ['reset 8']);
});

test('jobs of other threads are charged until they are done, even if the stream is closed', () => {
  const peer = createPeer();
  const { stream } = peer.open(1);
  stream.keepResponse(10_000);
  stream.beginJob();

  stream.reset(8);
  const meanwhile = peer.account.bytes;
  stream.endJob();

  assert.equal(peer.account.streams, 0);
  assert.equal(meanwhile - peer.account.bytes, 10_000);
});
