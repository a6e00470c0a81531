/**
 * Releases the memory of a buffer that is no longer used, if it has its own ArrayBuffer. V8 only counts the small
 * heap object, so that inflated messages would otherwise pile up until the next garbage collection.
 */
export function letGo({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
}

/**
 * Returns a buffer that keeps no other memory: a copy if it is a small part of Buffer's shared pool, whose parts are
 * only freed together.
 */
export function withOwnMemory(bytes: Buffer): Buffer {
  if (bytes.buffer.byteLength <= 2 * bytes.length) return bytes;
  const own = Buffer.allocUnsafeSlow(bytes.length);
  bytes.copy(own);
  return own;
}
