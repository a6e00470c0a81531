import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Http2Limits } from '../../src/engine/http2/limits.ts';
import { createRandom, type Random } from '../hpack/random.ts';
import { createPeer, type Peer, type Wire } from './http2_peer.ts';

/** `CUT_SEED=… CUTS=…` repeats a failure; `CUTS=all` tests every offset. */
const seed = Number(process.env['CUT_SEED'] ?? Math.trunc(Date.now() / 1000));
const cuts = process.env['CUTS'] ?? '50';

/** Input of up to so many bytes is split at every offset, */
const shortInput = 4096;
/** and longer input at so many offsets. */
const placesInLongInput = 200;

type CreatePeer = (limits?: Partial<Http2Limits>) => Peer;

/** The input and output of one peer without splits. */
interface Whole {
  sent: number;
  heard: Buffer;
}

/**
 * A test that must pass however TCP splits the input of its peers. Its body runs once unchanged, and then once per
 * offset, with every peer's input split in two. Output must be the same each time, and the body's own assertions must
 * hold.
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

/** The offsets to split input of that length at, without duplicates. */
function placesIn(length: number, random: Random): number[] {
  // The input is not split before the first byte or after the last.
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

/** A wire that splits at one offset, and compares the output. */
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
