import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withRandom } from '../../test/hpack/random.ts';
import { createPeer } from '../../test/http2_peer.ts';
import type { Stream } from './stream.ts';
import { StreamIndex } from './stream_index.ts';

/** Streams of those identifiers, one after the other. */
function streamsOf(ids: readonly number[]): Stream[] {
  const peer = createPeer({ maxConcurrentStreams: ids.length });
  return ids.map((id) => peer.open(id).stream);
}

test('a stream index finds what a Map would, however its identifiers fall together', async () => {
  await withRandom((random) => {
    // Steps of a power of two: a hash table of that many slots has them all in one.
    const step = 2 ** (1 + random.below(8));
    const streams = streamsOf(Array.from({ length: 40 }, (_, at) => 1 + at * step));
    const index = new StreamIndex();
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

test('a stream index that was full is as good as new when it is empty', () => {
  const streams = streamsOf(Array.from({ length: 1000 }, (_, at) => 1 + 2 * at));
  const index = new StreamIndex();

  for (let round = 0; round < 2; round++) {
    for (const stream of streams) index.add(stream);
    assert.equal(index.size, 1000);
    for (const { id } of streams) index.delete(id);

    assert.deepEqual([index.size, index.all(), index.get(1)], [0, [], undefined]);
  }
});
