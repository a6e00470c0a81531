import type { Transform } from 'node:stream';
import { promisify } from 'node:util';
import { ServerError } from 'nice-grpc-common';
import { letGo } from '../buffers.ts';
import { malformed, tooLarge } from '../errors.ts';

/** Message encodings (PROTOCOL-HTTP2.md, Content-Coding); deflate is zlib's format (RFC 1950). */
export type Encoding = 'gzip' | 'deflate';

/** The maximum ratio of DEFLATE: a match of 258 bytes in two bits. */
export const maxInflation = 1032;

/** The value of `grpc-accept-encoding`. */
export const acceptedEncodings = 'identity,deflate,gzip';

/** Messages of more bytes take a zlib thread for milliseconds. */
const large = 64 * 1024;

/**
 * Limits concurrent compression. Node has four threads, so more jobs would not be faster, and each takes a quarter of
 * a MiB. One slot is reserved for small messages, so that they do not wait for large ones.
 */
export const withCompressionSlot = createSemaphore({ most: 4, maxLarge: 3 });

/**
 * Limits concurrent decompression: each job holds up to three times the maximum message size, and only one thread
 * decodes the results.
 */
export const withInflationSlot = createSemaphore({ most: 2, maxLarge: 2 });

/** Loaded with the first compressed message, as most servers never see one. */
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

/** True for an encoding that the server supports. */
export function isEncoding(name: string): name is Encoding {
  return name === 'gzip' || name === 'deflate';
}

/** Compresses a message. */
export async function compress(bytes: Uint8Array, encoding: Encoding): Promise<Buffer> {
  const { pack } = await codecOf(encoding);
  return pack(bytes);
}

/** Decompresses a message. Throws a ServerError as soon as the result exceeds `maxSize` bytes. */
export async function decompress(
  bytes: Buffer,
  { encoding, maxSize }: { encoding: Encoding; maxSize: number },
): Promise<Buffer> {
  const { unpacker } = await codecOf(encoding);
  return unpack(bytes, { unpacking: unpacker({ chunkSize }), maxSize });
}

/**
 * Decompresses a message with a stream of node:zlib that has `chunkSize`, and frees its chunks. Throws a ServerError as
 * soon as the result exceeds `maxSize` bytes.
 */
export async function unpack(
  bytes: Buffer,
  { unpacking, maxSize }: { unpacking: Transform; maxSize: number },
): Promise<Buffer> {
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
    .once('error', (error) => {
      unpacked.reject(error instanceof ServerError ? error : malformed('corrupt compressed data'));
      chunks.forEach(letGo);
    })
    .end(bytes);
  return unpacked.promise;
}

/**
 * Too large for Buffer's shared pool, so that each chunk has its own memory. zlib does not write to a full chunk
 * again.
 */
export const chunkSize = 64 * 1024;

/** A job of a connection, by its account, for a message of so many bytes. */
interface Job<T> {
  owner: Owner;
  bytes: number;
  work: () => Promise<T>;
}

/** The account of a connection, and the peer that has it; without one, the connection is a peer of its own. */
export interface Owner {
  readonly peer: object | undefined;
}

/**
 * A semaphore of `most` concurrent jobs, `maxLarge` of them for large messages. Waiting jobs are served round robin
 * by peer, and those of a peer round robin by connection. Errors of a job are thrown to its caller.
 */
function createSemaphore({ most, maxLarge }: { most: number; maxLarge: number }) {
  /** Small messages first, as they finish soon. */
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
    return going < most && (!isLarge || goingLarge < maxLarge);
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

/** A queue that is served round robin by peer, and within a peer by connection. */
function createLine() {
  const waiting = new Map<object, Map<Owner, (() => void)[]>>();

  return {
    wait(owner: Owner): Promise<void> {
      const peer = owner.peer ?? owner;
      let connections = waiting.get(peer);
      if (!connections) waiting.set(peer, (connections = new Map()));
      let line = connections.get(owner);
      if (!line) connections.set(owner, (line = []));
      return new Promise((go) => line.push(go));
    },

    /** Takes the first job of the connection that has waited longest, of the peer that has. */
    next(): (() => void) | undefined {
      const [peer, connections] = first(waiting) ?? [];
      if (!peer || !connections) return undefined;
      const [owner, line] = first(connections) ?? [];
      const next = line?.shift();
      // Both move to the end.
      if (owner) connections.delete(owner);
      if (owner && line && line.length > 0) connections.set(owner, line);
      waiting.delete(peer);
      if (connections.size > 0) waiting.set(peer, connections);
      return next;
    },
  };
}

function first<K, V>(map: ReadonlyMap<K, V>): [K, V] | undefined {
  return map.entries().next().value;
}
