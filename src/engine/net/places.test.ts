import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ownerOf, type Place, Places } from './connections.ts';

interface Tenant {
  name: string;
  isIdle: boolean;
}

/** Slots, each entered with an address and a name. */
function create() {
  const places = new Places<Tenant>();
  const enter = (address: string, name = address): Place<Tenant> =>
    places.enter({ name, isIdle: true }, address);
  const crowd = (address: string, count: number) =>
    Array.from({ length: count }, (_, i) => enter(address, `${address}${i}`));
  /** The holder that would be closed for this address, and whether that evens out the shares. */
  const goes = (address: string) => {
    let evens: boolean | undefined;
    const place = places.find(address, (_, isFairer) => ((evens = isFairer), true));
    return place && [place.holder.name, evens];
  };
  return { places, enter, crowd, goes };
}

test('find() returns the longest idle connection of the address with the most slots', () => {
  const { places, crowd, goes } = create();
  crowd('a', 2);
  const [first, second] = crowd('b', 3);
  crowd('c', 1);
  assert.ok(first && second);

  assert.deepEqual(goes('d'), ['b0', true]);
  places.work(first);
  assert.deepEqual(goes('d'), ['b1', true]);
  places.wait(first);
  places.work(second);
  assert.deepEqual(goes('d'), ['b2', true]);
  for (const place of [first, second]) places.leave(place);
  assert.deepEqual(goes('d'), ['a0', true]);
});

test('find() tries the address with the next most slots if none is idle', () => {
  const { places, crowd, goes } = create();
  for (const place of crowd('a', 4)) places.work(place);
  crowd('b', 1);
  crowd('c', 2);

  assert.deepEqual(goes('d'), ['c0', true]);
});

test('find() returns no connection of an address with as many slots as its own, or fewer', () => {
  const { places, crowd, goes } = create();
  const busy = crowd('a', 3);
  for (const place of busy) places.work(place);
  crowd('b', 2);
  crowd('c', 3);

  assert.equal(goes('a'), undefined);
  const [first] = busy;
  if (first) places.wait(first);
  assert.deepEqual(goes('a'), ['a0', false]);
});

test('find() passes whether closing the connection evens out the shares', () => {
  const { crowd, goes } = create();
  crowd('a', 3);
  crowd('b', 2);
  crowd('c', 1);

  assert.deepEqual(goes('a'), ['a0', false]);
  assert.deepEqual(goes('b'), ['a0', false]);
  assert.deepEqual(goes('c'), ['a0', true]);
});

test('find() continues after a refusal, and asks once per level', () => {
  const { places, crowd } = create();
  crowd('a', 3);
  crowd('b', 2);
  crowd('c', 2);
  crowd('d', 1);
  const asked: string[] = [];

  const found = places.find('d', ({ name }) => (asked.push(name), false));

  assert.equal(found, undefined);
  assert.deepEqual(asked, ['a0', 'b0', 'd0']);
});

test('find() skips connections that are not idle, until they are queued again', () => {
  const { places, crowd, goes } = create();
  const [first] = crowd('a', 2);
  assert.ok(first);

  first.holder.isIdle = false;
  assert.deepEqual(goes('b'), ['a1', true]);
  first.holder.isIdle = true;
  assert.deepEqual(goes('b'), ['a1', true]);
  places.wait(first);
  assert.deepEqual(goes('b'), ['a1', true]);
});

test('find() returns connections of addresses with one slot each in the order of their idleness', () => {
  const { places, enter, goes } = create();
  const first = enter('a');
  enter('b');

  assert.deepEqual(goes('c'), ['a', false]);
  places.work(first);
  places.wait(first);
  assert.deepEqual(goes('c'), ['b', false]);
});

test('leave() frees a slot once', () => {
  const { places, crowd, goes } = create();
  const [first] = crowd('a', 2);
  assert.ok(first);

  places.leave(first);
  places.leave(first);
  places.wait(first);

  assert.equal(places.size, 1);
  assert.deepEqual(
    places.all().map(({ name }) => name),
    ['a1'],
  );
  assert.deepEqual(goes('b'), ['a1', false]);
});

test('find() agrees with an exhaustive search after random operations', () => {
  const { places, enter, goes } = create();
  const held: Place<Tenant>[] = [];
  /** Sorted by idle time, shortest last. */
  const waiting: Place<Tenant>[] = [];
  let seed = 1;
  const random = (below: number) => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed % below;
  };
  const drop = (from: Place<Tenant>[], place: Place<Tenant>) => {
    const at = from.indexOf(place);
    if (at !== -1) from.splice(at, 1);
  };
  for (let step = 0; step < 20_000; step++) {
    const place = held[random(Math.max(held.length, 1))];
    const action = random(4);
    if (!place || (action === 0 && held.length < 40)) {
      const entered = enter(`a${random(1 + random(12))}`, `${step}`);
      held.push(entered);
      waiting.push(entered);
    } else if (action === 1) {
      places.work(place);
      drop(waiting, place);
    } else if (action === 2) {
      places.wait(place);
      if (!waiting.includes(place)) waiting.push(place);
    } else {
      places.leave(place);
      drop(held, place);
      drop(waiting, place);
    }

    const count = (name: string) => held.filter(({ address }) => address.name === name).length;
    const name = `a${random(13)}`;
    const mayGo = waiting.filter(
      ({ address }) => address.name === name || count(address.name) > count(name),
    );
    const most = Math.max(...mayGo.map(({ address }) => count(address.name)));
    const found = goes(name)?.[0];
    const ofMost = mayGo.filter(({ address }) => count(address.name) === most);
    assert.equal(found === undefined, mayGo.length === 0);
    if (found === undefined) continue;
    const goer = ofMost.find(({ holder }) => holder.name === found);
    assert.ok(goer, `${found} is not of those with ${most}`);
    // It is the longest idle of its address.
    assert.equal(
      waiting.find(({ address }) => address === goer.address),
      goer,
    );
    assert.equal(places.size, held.length);
  }
});

test('ownerOf() is an IPv4 address, an IPv6 /64, or a whole unique local address', () => {
  for (const [address, owner] of [
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::6', '2001:db8:1:2::/64'],
    ['2001:db8:0:1::', '2001:db8:0:1::/64'],
    ['fd00:1::2', 'fd00:1::2'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    [undefined, 'unix'],
  ]) {
    assert.equal(ownerOf(address), owner);
  }
  assert.equal(ownerOf('::1'), ownerOf('::2'));
});
