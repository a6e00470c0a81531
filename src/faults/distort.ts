import { setTimeout as sleep } from 'node:timers/promises';
import { frame, prefixLength, type ResponseFault } from '../engine/index.ts';
import type { Fault, FaultKind } from './fault.ts';

interface DistortDeps {
  signal: AbortSignal;
  /** Called when a fault of messages is injected. */
  note: (kind: FaultKind) => void;
  /** Called with the number of messages sent so far. */
  sent: (count: number) => Promise<void> | undefined;
}

/** The function that sends distorted messages; see ResponseFault. */
export function distorted(
  faults: readonly Fault[],
  { signal, note, sent }: DistortDeps,
): NonNullable<ResponseFault['message']> {
  let count = 0;
  let due = 0;
  const rate = faults.find((fault) => fault.kind === 'rate')?.bytes;

  return async function* parts(framed) {
    const index = count++;
    for (const part of changed(framed, index)) {
      if (rate === undefined) yield part;
      else yield* slowed(part, rate);
    }
    await sent(count);
  };

  function* changed(framed: Uint8Array, index: number): Generator<Uint8Array> {
    let bytes = framed;
    for (const fault of faults) {
      if (!('after' in fault) || fault.after !== index) continue;
      if (fault.kind === 'garbage') bytes = frame(0, undecodable);
      else if (fault.kind === 'corrupt-compression') bytes = asCompressed(bytes);
      else if (fault.kind === 'truncate') bytes = bytes.slice(0, halfOf(bytes));
      else if (fault.kind === 'big') {
        note(fault.kind);
        yield* enlarged(bytes, fault.bytes);
        return;
      } else continue;
      note(fault.kind);
    }
    yield bytes;
  }

  /** Parts of a twentieth of a second, or single bytes. */
  async function* slowed(bytes: Uint8Array, rate: number): AsyncGenerator<Uint8Array> {
    note('rate');
    const step = Math.max(1, Math.floor(rate / 20));
    for (let at = 0; at < bytes.length; at += step) {
      const part = bytes.slice(at, at + step);
      const now = performance.now();
      if (due > now) await sleep(due - now, undefined, { signal });
      due = Math.max(due, now) + (part.length / rate) * 1000;
      yield part;
    }
  }
}

/** A tag that goes on for more bytes than a tag may have. */
const undecodable = new Uint8Array(16).fill(0xff);

/** The tag of the field with the highest number, which no message has, with a length (protobuf's encoding). */
const unknownTag = [0xfa, 0xff, 0xff, 0xff, 0x0f];

/** The size of the parts of a large field. */
const partSize = 16 * 1024;

/** The bytes of the prefix, and half of those of the message. */
function halfOf({ length }: Uint8Array): number {
  return prefixLength + Math.floor((length - prefixLength) / 2);
}

/** Announces a message as compressed that is not. One without bytes gets some. */
function asCompressed(framed: Uint8Array): Uint8Array {
  const message = framed.subarray(prefixLength);
  return frame(1, message.length > 0 ? message : undecodable);
}

/** A message with an unknown field of so many bytes, in parts. */
function* enlarged(framed: Uint8Array, size: number): Generator<Uint8Array> {
  const message = framed.subarray(prefixLength);
  const begin = Buffer.from([...unknownTag, ...varint(size)]);
  const prefix = Buffer.alloc(prefixLength);
  prefix.writeUInt32BE(message.length + begin.length + size, 1);
  yield Buffer.concat([prefix, message, begin]);
  for (let left = size; left > 0; left -= partSize) yield Buffer.alloc(Math.min(left, partSize));
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (let left = value; ; left = Math.floor(left / 128)) {
    if (left < 128) return [...bytes, left];
    bytes.push((left % 128) + 128);
  }
}
