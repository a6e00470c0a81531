import { promisify } from 'node:util';
import { brotliCompress, brotliDecompress, constants, gunzip, gzip } from 'node:zlib';
import { Code, ConnectError, type ConnectRouterOptions } from '@connectrpc/connect';
import { withCompressionSlot } from '../engine/index.ts';

type Compression = NonNullable<ConnectRouterOptions['acceptCompression']>[number];

/** Compresses or decompresses bytes, the latter up to a maximum length. */
type Coder = (bytes: Uint8Array, options: { maxOutputLength?: number }) => Promise<Buffer>;

/** The library compresses without telling for whom, so all of its clients share the slots of one. */
const owner = { peer: undefined };

/** About as fast as gzip; Node's default takes seconds for a few MiB. */
const brotliOptions = { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } };

/** The compressions of bodies and messages in Connect and gRPC-Web. */
export const compressions: Compression[] = [
  compression('gzip', { pack: promisify(gzip), unpack: promisify(gunzip) }),
  compression('br', {
    pack: (bytes) => promisify(brotliCompress)(bytes, brotliOptions),
    unpack: promisify(brotliDecompress),
  }),
];

function compression(name: string, { pack, unpack }: { pack: Coder; unpack: Coder }): Compression {
  return {
    name,
    compress: async (bytes) =>
      new Uint8Array(
        await withCompressionSlot({ owner, bytes: bytes.length, work: () => pack(bytes, {}) }),
      ),
    async decompress(bytes, readMaxBytes) {
      if (bytes.length === 0) return new Uint8Array(0);
      try {
        return new Uint8Array(await unpack(bytes, { maxOutputLength: readMaxBytes }));
      } catch (error) {
        throw refusal(error, readMaxBytes);
      }
    },
  };
}

function refusal(error: unknown, max: number): ConnectError {
  const isTooMuch =
    error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE';
  if (!isTooMuch) return new ConnectError('Cannot decompress a message', Code.InvalidArgument);
  const message = `Cannot accept a message of more than ${max} bytes`;
  return new ConnectError(message, Code.ResourceExhausted);
}
