import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Http2Limits } from '../../src/engine/http2/limits.ts';
import { createRandom, type Random } from '../hpack/random.ts';
import { createPeer, type Peer, type Wire } from './http2_peer.ts';

/** `CUT_SEED=… CUTS=…` runs again what failed; `CUTS=all` is every place there is to be. */
const seed = Number(process.env['CUT_SEED'] ?? Math.trunc(Date.now() / 1000));
const cuts = process.env['CUTS'] ?? '50';

/** Up to this many bytes of input are cut at every offset, */
const shortInput = 4096;
/** and longer ones at so many places. */
const placesInLongInput = 200;

type CreatePeer = (limits?: Partial<Http2Limits>) => Peer;

/** What one peer of a test said and heard when nothing was cut. */
interface Whole {
  sent: number;
  heard: Buffer;
}

/**
 * A test of peers that holds however TCP cuts what they send. Its body runs once as it is, and then
 * once for each place: there every peer's input is cut in two. What a peer hears must be the same
 * bytes each time, and the body's own assertions hold.
 */
export function cutTest(name: string, body: (create: CreatePeer) => void): void {
  test(name, () => {
    const wholes = playWhole(body);
    const random = createRandom(seed);
    const places = wholes.map(({ sent }) => placesIn(sent, random));
    const most = Math.max(...places.map(({ length }) => length));
    assert.ok(most > 0, 'nothing was sent, so nothing can be cut');
    for (let run = 0; run < most; run++) {
      const at = places.map((some) => some[run]);
      try {
        playCut(body, { wholes, at });
      } catch (cause) {
        const message = `cut at ${at.join()} (CUT_SEED=${seed} CUTS=${cuts})`;
        assert.fail(new Error(message, { cause }));
      }
    }
  });
}

function playWhole(body: (create: CreatePeer) => void): Whole[] {
  const tapes: { sent: number; heard: Buffer[] }[] = [];
  body((limits) => {
    const tape: (typeof tapes)[0] = { sent: 0, heard: [] };
    tapes.push(tape);
    const wire = {
      up(bytes: Buffer) {
        tape.sent += bytes.length;
        return [bytes];
      },
      down: (bytes: Buffer) => void tape.heard.push(bytes),
    };
    return createPeer(limits, { wire });
  });
  return tapes.map(({ sent, heard }) => ({ sent, heard: Buffer.concat(heard) }));
}

/** Where an input of that length is cut, each place once. */
function placesIn(length: number, random: Random): number[] {
  // Before the first byte and after the last there is nothing to cut off.
  const inner = Math.max(0, length - 1);
  const all = length <= shortInput ? inner : placesInLongInput;
  const count = Math.min(all, cuts === 'all' ? all : Number(cuts));
  if (count === inner) return Array.from({ length: inner }, (_, i) => i + 1);
  const places = new Set<number>();
  while (places.size < count) places.add(1 + random.below(inner));
  return [...places];
}

function playCut(
  body: (create: CreatePeer) => void,
  { wholes, at }: { wholes: readonly Whole[]; at: readonly (number | undefined)[] },
): void {
  const wires: ReturnType<typeof cutWire>[] = [];
  body((limits) => {
    const wire = cutWire(wholes[wires.length] ?? assert.fail('one peer more'), at[wires.length]);
    wires.push(wire);
    return createPeer(limits, { wire });
  });
  assert.equal(wires.length, wholes.length);
  for (const wire of wires) wire.assertAllHeard();
}

/** A wire that cuts at one place, and compares what comes back. */
function cutWire(whole: Whole, at: number | undefined): Wire & { assertAllHeard: () => void } {
  let sent = 0;
  let heard = 0;
  return {
    up(bytes) {
      const cut = (at ?? 0) - sent;
      sent += bytes.length;
      return cut > 0 && cut < bytes.length
        ? [bytes.subarray(0, cut), bytes.subarray(cut)]
        : [bytes];
    },
    down(bytes) {
      const expected = whole.heard.subarray(heard, heard + bytes.length);
      assert.ok(expected.equals(bytes), `byte ${heard} and those after it are others`);
      heard += bytes.length;
    },
    assertAllHeard: () => assert.equal(heard, whole.heard.length),
  };
}
