import { syncBuiltinESMExports } from 'node:module';
import { Transform } from 'node:stream';
import zlib, { type BrotliOptions, type ZlibOptions } from 'node:zlib';

type Done = (error: Error | null, result?: Buffer) => void;
type Code<Options> = (bytes: Uint8Array, options: Options) => Buffer;

/**
 * Makes zlib compress and decompress without threads, with the result in the next turn of the event loop, so that a
 * test runs the same way each time. Affects what is imported later.
 */
export function useZlibInTurn(): void {
  // Mocks would keep all bytes.
  const replacements = {
    gzip: inTurn<ZlibOptions>(zlib.gzipSync),
    brotliCompress: inTurn<BrotliOptions>(zlib.brotliCompressSync),
    createGunzip: () => unpacking(zlib.gunzipSync),
    createBrotliDecompress: () => unpacking(zlib.brotliDecompressSync),
  };
  for (const [name, value] of Object.entries(replacements)) {
    Object.defineProperty(zlib, name, { value });
  }
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

/** A stream that decompresses what it has got when it ends. */
function unpacking(decode: (bytes: Buffer) => Buffer): Transform {
  const parts: Buffer[] = [];
  return new Transform({
    transform(part: Buffer, _encoding, done) {
      parts.push(part);
      done();
    },
    flush(done) {
      inTurn(() => decode(Buffer.concat(parts)))(new Uint8Array(0), {}, done);
    },
  });
}
