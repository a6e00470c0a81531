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

/** The function that distorts messages; see ResponseFault. */
export function distorted(
  faults: readonly Fault[],
  { signal, note, sent }: DistortDeps,
): NonNullable<ResponseFault['message']> {
  let count = 0;
  let due = 0;
  const rate = faults.find((fault) => fault.kind === 'rate')?.bytes;

  return (framed) => {
    const { pieces, kinds } = changed(framed, count++);
    const at = count;
    return { length: lengthOf(pieces), parts: partsOf(pieces, kinds), sent: () => sent(at) };
  };

  async function* partsOf(
    pieces: readonly Piece[],
    kinds: readonly FaultKind[],
  ): AsyncGenerator<Uint8Array> {
    for (const kind of kinds) note(kind);
    for (const part of bytesOf(pieces)) {
      if (rate === undefined) yield part;
      else yield* slowed(part, rate);
    }
  }

  /** Applies the faults that are due, each to the outcome of those before it. */
  function changed(framed: Uint8Array, index: number) {
    let pieces: readonly Piece[] = [framed];
    const kinds: FaultKind[] = [];
    for (const fault of faults) {
      if (!('after' in fault) || fault.after !== index) continue;
      if (fault.kind === 'garbage') pieces = [frame(0, undecodable)];
      else if (fault.kind === 'corrupt-compression') pieces = asCompressed(pieces);
      else if (fault.kind === 'truncate') pieces = halved(pieces);
      else if (fault.kind === 'big') pieces = enlarged(pieces, fault.bytes);
      else continue;
      kinds.push(fault.kind);
    }
    return { pieces, kinds };
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

/** Bytes, or so many zeros, which are not created before they are due. The first piece of a message has its prefix. */
type Piece = Uint8Array | number;

function lengthOf(pieces: readonly Piece[]): number {
  return pieces.reduce<number>((sum, piece) => sum + sizeOf(piece), 0);
}

function sizeOf(piece: Piece): number {
  return typeof piece === 'number' ? piece : piece.length;
}

function* bytesOf(pieces: readonly Piece[]): Generator<Uint8Array> {
  for (const piece of pieces) {
    if (typeof piece !== 'number') yield piece;
    else for (let left = piece; left > 0; left -= partSize) yield zeros(Math.min(left, partSize));
  }
}

/** A part belongs to the stream that sends it. */
function zeros(size: number): Uint8Array {
  return Buffer.alloc(size);
}

/** The prefix, and half of the bytes of the message. */
function halved(pieces: readonly Piece[]): readonly Piece[] {
  let left = prefixLength + Math.floor((lengthOf(pieces) - prefixLength) / 2);
  return pieces.flatMap((piece): Piece[] => {
    const size = Math.min(left, sizeOf(piece));
    left -= size;
    if (size === 0) return [];
    return [typeof piece === 'number' ? size : piece.subarray(0, size)];
  });
}

/** Announces a message as compressed that is not. One without bytes gets some. */
function asCompressed(pieces: readonly Piece[]): readonly Piece[] {
  if (lengthOf(pieces) === prefixLength) return [frame(1, undecodable)];
  return withPrefixOf(pieces, (prefix) => prefix.writeUInt8(1));
}

/** Adds an unknown field of so many bytes. */
function enlarged(pieces: readonly Piece[], size: number): readonly Piece[] {
  const begin = Buffer.from([...unknownTag, ...varint(size)]);
  const longer = withPrefixOf(pieces, (prefix) => {
    prefix.writeUInt32BE(prefix.readUInt32BE(1) + begin.length + size, 1);
  });
  return [...longer, begin, size];
}

function withPrefixOf(
  [first = 0, ...others]: readonly Piece[],
  change: (prefix: Buffer) => void,
): readonly Piece[] {
  if (typeof first === 'number') return [first, ...others];
  const copy = Buffer.from(first);
  change(copy);
  return [copy, ...others];
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (let left = value; ; left = Math.floor(left / 128)) {
    if (left < 128) return [...bytes, left];
    bytes.push((left % 128) + 128);
  }
}
