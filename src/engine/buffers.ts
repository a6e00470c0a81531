import { isLarge } from './admission.ts';

/**
 * Releases the memory of a buffer that is no longer used, if it has its own ArrayBuffer. V8 only counts the small
 * heap object, so that inflated messages would otherwise pile up until the next garbage collection.
 */
export function letGo({ buffer, byteLength }: Uint8Array): void {
  if (byteLength === 0 || buffer.byteLength !== byteLength) return;
  if (buffer instanceof ArrayBuffer) buffer.transfer(0);
}

/**
 * Releases the whole ArrayBuffer of a large message, of which nothing else may be used any more. A smaller one may be
 * part of Buffer's shared pool, and is not worth it.
 */
export function freeLarge({ buffer, byteLength }: Uint8Array): void {
  if (isLarge(byteLength) && buffer instanceof ArrayBuffer) buffer.transfer(0);
}

/** Copies bytes to a buffer that does not keep Buffer's shared pool, as a small one would. */
export function ownCopy(bytes: Uint8Array): Buffer {
  const own = Buffer.allocUnsafeSlow(bytes.length);
  own.set(bytes);
  return own;
}

/**
 * Returns a buffer that keeps no other memory: a copy if it is a small part of Buffer's shared pool, whose parts are
 * only freed together.
 */
export function withOwnMemory(bytes: Buffer): Buffer {
  if (bytes.buffer.byteLength <= 2 * bytes.length) return bytes;
  return ownCopy(bytes);
}
