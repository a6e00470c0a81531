import { promisify } from 'node:util';
import { brotliCompress, constants, createBrotliDecompress, createGunzip, gzip } from 'node:zlib';
import { Code, ConnectError } from '@connectrpc/connect';
import { Status } from 'nice-grpc-common';
import { chunkSize, unpack, type WebRequest, withCompressionSlot } from '../engine/index.ts';
import { serverErrorStatus } from '../engine/errors.ts';

/** A compression of bodies and messages in Connect and gRPC-Web. */
export interface Compression {
  readonly name: string;
  /** The maximum ratio of the size of a message to its compressed size. */
  readonly isBounded: boolean;
  pack(bytes: Uint8Array): Promise<Buffer>;
  /** Throws a ConnectError for corrupt data, or if the result exceeds `maxSize` bytes. */
  unpack(bytes: Buffer, maxSize: number): Promise<Buffer>;
}

/** About as fast as gzip; Node's default takes seconds for a few MiB. */
const brotliOptions = { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } };
const packGzip = promisify(gzip);
const packBrotli = promisify(brotliCompress);

export const compressions: readonly Compression[] = [
  create('gzip', { pack: (bytes) => packGzip(bytes, {}), unpacker: createGunzip }),
  create('br', {
    pack: (bytes) => packBrotli(bytes, brotliOptions),
    unpacker: createBrotliDecompress,
  }),
];

/** Compression of smaller messages, in bytes, does not pay. */
export const minCompressed = 1024;

/** The same for the library, which only uses their names. */
export const known = compressions.map(({ name }) => ({
  name,
  compress: async () => new Uint8Array(0),
  decompress: async () => new Uint8Array(0),
}));

interface Codec {
  pack: Compression['pack'];
  unpacker: typeof createGunzip | typeof createBrotliDecompress;
}

function create(name: string, { pack, unpacker }: Codec): Compression {
  return {
    name,
    isBounded: name === 'gzip',
    pack,
    async unpack(bytes, maxSize) {
      if (bytes.length === 0) return bytes;
      try {
        return await unpack(bytes, { unpacking: unpacker({ chunkSize }), maxSize });
      } catch (error) {
        throw refusal(error, maxSize);
      }
    },
  };
}

function refusal(error: unknown, max: number): ConnectError {
  if (serverErrorStatus(error)?.code !== Status.RESOURCE_EXHAUSTED) {
    return new ConnectError('Cannot decompress a message', Code.InvalidArgument);
  }
  const message = `Cannot accept a message of more than ${max} bytes`;
  return new ConnectError(message, Code.ResourceExhausted);
}

/** Compresses a part of a response, which is charged until then. Throws an AbortError if the client has left. */
export async function compress(
  bytes: Uint8Array,
  { owner, response, signal }: Pick<WebRequest, 'owner' | 'response' | 'signal'>,
  compression: Compression,
): Promise<Buffer> {
  response.keep(bytes.length);
  response.beginJob();
  const work = async () => {
    signal.throwIfAborted();
    return compression.pack(bytes);
  };
  try {
    return await withCompressionSlot({ owner, bytes: bytes.length, work });
  } finally {
    response.endJob();
  }
}
