/**
 * Releases the memory of a buffer that is no longer used, if it has its own ArrayBuffer. V8 only counts the small
 * heap object, so that inflated messages would otherwise pile up until the next garbage collection.
 */
export function letGo({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
}
