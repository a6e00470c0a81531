import { promisify } from 'node:util';
import { deflate, gunzip, gzip, inflate } from 'node:zlib';
import type { ServerError } from 'nice-grpc-common';
import { broken, tooLarge } from './message_reader.ts';

/** How messages can be compressed (PROTOCOL-HTTP2.md, Content-Coding); deflate is RFC 1950's zlib. */
export type Encoding = 'gzip' | 'deflate';

/** All that we take, as `grpc-accept-encoding` says it. */
export const acceptedEncodings = 'identity,deflate,gzip';

const codecs = {
  gzip: { pack: promisify(gzip), unpack: promisify<Buffer, object, Buffer>(gunzip) },
  deflate: { pack: promisify(deflate), unpack: promisify<Buffer, object, Buffer>(inflate) },
};

/** Whether we know an encoding. */
export function isEncoding(name: string): name is Encoding {
  return name === 'gzip' || name === 'deflate';
}

/** The compressed bytes. */
export function compress(bytes: Uint8Array, encoding: Encoding): Promise<Buffer> {
  return codecs[encoding].pack(bytes);
}

/** The bytes before they were compressed. It stops at `maxSize`, and throws a ServerError. */
export async function decompress(
  bytes: Buffer,
  { encoding, maxSize }: { encoding: Encoding; maxSize: number },
): Promise<Buffer> {
  try {
    return await codecs[encoding].unpack(bytes, { maxOutputLength: maxSize });
  } catch (error) {
    throw explain(error, maxSize);
  }
}

function explain(error: unknown, maxSize: number): ServerError {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'ERR_BUFFER_TOO_LARGE' ? tooLarge(maxSize) : broken('corrupt compressed data');
}
