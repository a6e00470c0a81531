import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withRandom } from '../../test/hpack/random.ts';
import { UnorderedSet, type Placed } from './unordered_set.ts';

interface Item extends Placed {
  name: number;
}

test('UnorderedSet has the same items as a Set', async () => {
  await withRandom((random) => {
    const items = Array.from({ length: 50 }, (_, name): Item => ({ name, slot: -1 }));
    const unordered = new UnorderedSet<Item>();
    const set = new Set<Item>();
    for (let step = 0; step < 1000; step++) {
      const item = items[random.below(items.length)];
      assert.ok(item);
      // Sometimes deletes an item that is not in the set.
      if (set.has(item) || random.oneIn(4)) {
        unordered.delete(item);
        set.delete(item);
      } else {
        unordered.add(item);
        set.add(item);
      }

      assert.deepEqual(new Set(unordered.all()), set);
      assert.equal(unordered.size, set.size);
    }
  });
});
