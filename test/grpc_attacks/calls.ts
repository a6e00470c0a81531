import { gzipSync } from 'node:zlib';
import { Flag, FrameType } from '../../src/engine/http2/frames.ts';
import { EchoRequest } from '../echo/gen/echo.ts';
import { type Attacker, attackPlain, greeting } from '../http2_attacks/attacker.ts';
import type { Victim } from '../http2_attacks/victim.ts';
import { frameOf } from '../support/http2_peer.ts';
import { frame, packed } from '../support/raw_client.ts';
import { defaultLimits } from '../support/engine.ts';

/** Connects a peer and sends its preface. */
export function attack(victim: Victim, initialWindowSize?: number): Attacker {
  const attacker = attackPlain(victim);
  attacker.write(greeting(initialWindowSize));
  return attacker;
}

/** DATA frames of so many bytes; `flags` apply to the last one. */
export function data(
  streamId: number,
  bytes: Buffer,
  { flags = 0, size = maxData }: { flags?: number; size?: number } = {},
): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at === 0 || at < bytes.length; at += size) {
    const isLast = at + size >= bytes.length;
    const part = bytes.subarray(at, at + size);
    parts.push(frameOf(FrameType.DATA, isLast ? flags : 0, streamId, part));
  }
  return Buffer.concat(parts);
}
const maxData = 16_384;

/** Sends a body as flow control allows, in frames of so many bytes, and ends it. */
export async function upload(
  attacker: Attacker,
  streamId: number,
  { body, size = maxData }: { body: Buffer; size?: number },
): Promise<void> {
  const { frames, sees, write } = attacker;
  let room = defaultLimits.initialWindowSize;
  let seen = 0;
  for (let at = 0; at < body.length; at += portion) {
    const part = body.subarray(at, at + portion);
    await sees(() => {
      for (; seen < frames.length; seen++) {
        const { type, streamId: id, payload = '' } = frames[seen] ?? {};
        if (type === 'RST_STREAM') room = Infinity;
        if (type === 'WINDOW_UPDATE' && id === streamId) room += Number.parseInt(payload, 16);
      }
      return room >= part.length;
    });
    room -= part.length;
    const flags = at + portion >= body.length ? Flag.END_STREAM : 0;
    write(data(streamId, part, { flags, size }));
  }
}
const portion = 32 * 1024;

/** An encoded request of the echo service, with its prefix. */
export function message(text: string): Buffer {
  return frame(EchoRequest.encode({ text }).finish());
}

/** The same, compressed with gzip. */
export function zipped(text: string): Buffer {
  return packed(gzipSync(EchoRequest.encode({ text }).finish()));
}

/** The number of streams with a complete response. */
export function answered({ frames }: Attacker): number {
  return frames.filter(({ type, flags }) => type === 'HEADERS' && (flags & Flag.END_STREAM) !== 0)
    .length;
}
