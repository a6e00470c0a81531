import { promisify } from 'node:util';
import type { ServerError } from 'nice-grpc-common';
import { broken, tooLarge } from './message_reader.ts';
import { createTurns } from './turns.ts';

/** How messages can be compressed (PROTOCOL-HTTP2.md, Content-Coding); deflate is RFC 1950's zlib. */
export type Encoding = 'gzip' | 'deflate';

/** All that we take, as `grpc-accept-encoding` says it. */
export const acceptedEncodings = 'identity,deflate,gzip';

/**
 * For all who compress or decompress. More at once would be no faster, as Node has four threads, and each
 * takes a quarter of a MiB, or what a message may be.
 */
export const takeTurn = createTurns(4);

/** Loaded with the first message that is compressed: most servers never see one. */
let loaded: ReturnType<typeof loadCodecs> | undefined;

async function loadCodecs() {
  const { deflate, gunzip, gzip, inflate } = await import('node:zlib');
  return {
    gzip: { pack: promisify(gzip), unpack: promisify<Buffer, object, Buffer>(gunzip) },
    deflate: { pack: promisify(deflate), unpack: promisify<Buffer, object, Buffer>(inflate) },
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
  const { unpack } = await codecOf(encoding);
  try {
    return await unpack(bytes, { maxOutputLength: maxSize });
  } catch (error) {
    throw explain(error, maxSize);
  }
}

function explain(error: unknown, maxSize: number): ServerError {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'ERR_BUFFER_TOO_LARGE' ? tooLarge(maxSize) : broken('corrupt compressed data');
}
