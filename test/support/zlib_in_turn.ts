import { syncBuiltinESMExports } from 'node:module';
import zlib, { type BrotliOptions, type ZlibOptions } from 'node:zlib';

type Done = (error: Error | null, result?: Buffer) => void;
type Code<Options> = (bytes: Uint8Array, options: Options) => Buffer;

/**
 * Makes zlib compress and decompress without threads, with the result in the next turn of the event loop, so that a
 * test runs the same way each time. Affects what is imported later.
 */
export function useZlibInTurn(): void {
  // Mocks would keep all bytes.
  Object.assign(zlib, {
    gzip: inTurn<ZlibOptions>(zlib.gzipSync),
    gunzip: inTurn<ZlibOptions>(zlib.gunzipSync),
    brotliCompress: inTurn<BrotliOptions>(zlib.brotliCompressSync),
    brotliDecompress: inTurn<BrotliOptions>(zlib.brotliDecompressSync),
  });
  syncBuiltinESMExports();
}

function inTurn<Options>(code: Code<Options>) {
  return (bytes: Uint8Array, options: Options, done: Done) => {
    try {
      setImmediate(done, null, code(bytes, options));
    } catch (error) {
      setImmediate(done, error instanceof Error ? error : new Error('Cannot code'));
    }
  };
}
