import { promisify } from 'node:util';
import { ServerError } from 'nice-grpc-common';
import { broken, tooLarge } from '../errors.ts';

/** How messages can be compressed (PROTOCOL-HTTP2.md, Content-Coding); deflate is RFC 1950's zlib. */
export type Encoding = 'gzip' | 'deflate';

/** All that we take, as `grpc-accept-encoding` says it. */
export const acceptedEncodings = 'identity,deflate,gzip';

/** More bytes take a thread for milliseconds. */
const large = 64 * 1024;

/**
 * For all who compress. More at once would be no faster, as Node has four threads, and each takes a quarter of a MiB.
 * One of them is for small messages alone, which would wait for several large ones.
 */
export const withCompressionSlot = createSemaphore({ most: 4, mostLarge: 3 });

/** For all who decompress: each takes up to three times what a message may be, and one thread decodes for all. */
export const withInflationSlot = createSemaphore({ most: 2, mostLarge: 2 });

/** Loaded with the first message that is compressed: most servers never see one. */
let loaded: ReturnType<typeof loadCodecs> | undefined;

async function loadCodecs() {
  const { createGunzip, createInflate, deflate, gzip } = await import('node:zlib');
  return {
    gzip: { pack: promisify(gzip), unpacker: createGunzip },
    deflate: { pack: promisify(deflate), unpacker: createInflate },
  };
}

async function codecOf(encoding: Encoding) {
  loaded ??= loadCodecs();
  return (await loaded)[encoding];
}

/** Whether we know an encoding. */
export function isEncoding(name: string): name is Encoding {
  return name === 'gzip' || name === 'deflate';
}

/** The compressed bytes. */
export async function compress(bytes: Uint8Array, encoding: Encoding): Promise<Buffer> {
  const { pack } = await codecOf(encoding);
  return pack(bytes);
}

/** The bytes before they were compressed. It stops at `maxSize`, and throws a ServerError. */
export async function decompress(
  bytes: Buffer,
  { encoding, maxSize }: { encoding: Encoding; maxSize: number },
): Promise<Buffer> {
  const { unpacker } = await codecOf(encoding);
  const unpacking = unpacker({ chunkSize });
  const unpacked = Promise.withResolvers<Buffer>();
  const chunks: Buffer[] = [];
  let length = 0;
  unpacking
    .on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      length += chunk.length;
      if (length > maxSize) unpacking.destroy(tooLarge(maxSize));
    })
    .once('end', () => {
      unpacked.resolve(Buffer.concat(chunks, length));
      chunks.forEach(letGo);
    })
    .once('error', (error) =>
      unpacked.reject(error instanceof ServerError ? error : broken('corrupt compressed data')),
    )
    .end(bytes);
  return unpacked.promise;
}

/** Large enough to be none of the pool that Buffers share. What is full zlib writes to no more. */
const chunkSize = 64 * 1024;

/**
 * Gives the memory of bytes back that nobody uses any more, if they are all there is of it. Until V8 has
 * collected it, which knows how little there is of the heap alone, inflated messages would pile up.
 */
export function letGo({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
}

/** Something to be done for `owner`, to so many bytes. */
interface Job<T> {
  owner: object;
  bytes: number;
  work: () => Promise<T>;
}

/**
 * Lets at most `most` jobs go on at once, and `mostLarge` of large messages; the others wait. Who waits is taken in
 * turn: the next job of each owner, however many one of them has. What a job throws comes out where it was asked for.
 */
function createSemaphore({ most, mostLarge }: { most: number; mostLarge: number }) {
  /** Who waits, small ones first: they are done soon. */
  const lines = { small: createLine(), large: createLine() };
  let going = 0;
  let goingLarge = 0;

  return async <T>({ owner, bytes, work }: Job<T>): Promise<T> => {
    const isLarge = bytes > large;
    if (fits(isLarge)) enter(isLarge);
    else await lines[isLarge ? 'large' : 'small'].wait(owner);
    try {
      return await work();
    } finally {
      leave(isLarge);
    }
  };

  function fits(isLarge: boolean): boolean {
    return going < most && (!isLarge || goingLarge < mostLarge);
  }

  function enter(isLarge: boolean): void {
    going++;
    if (isLarge) goingLarge++;
  }

  function leave(isLarge: boolean): void {
    going--;
    if (isLarge) goingLarge--;
    for (const [line, isForLarge] of [
      [lines.small, false],
      [lines.large, true],
    ] as const) {
      const next = fits(isForLarge) ? line.next() : undefined;
      if (!next) continue;
      enter(isForLarge);
      next();
    }
  }
}

/** What waits, of each owner in turn. */
function createLine() {
  const waiting = new Map<object, (() => void)[]>();

  return {
    wait(owner: object): Promise<void> {
      return new Promise((go) => {
        const line = waiting.get(owner);
        if (line) line.push(go);
        else waiting.set(owner, [go]);
      });
    },

    /** Takes the first of the owner that has waited longest for its turn. */
    next(): (() => void) | undefined {
      for (const [owner, line] of waiting) {
        const next = line.shift();
        // Behind all others.
        waiting.delete(owner);
        if (line.length > 0) waiting.set(owner, line);
        return next;
      }
      return undefined;
    },
  };
}
