import type { Socket } from 'node:net';

/**
 * Sets how many bytes a socket buffers in each direction before it stops. Node has no such option for the TLS sockets of a
 * server, nor for a socket that exists.
 */
export function setHighWaterMark(socket: Socket, bytes: number): void {
  for (const name of ['_readableState', '_writableState'] as const) {
    const state = name in socket ? Object(socket)[name] : undefined;
    if (state) state.highWaterMark = bytes;
  }
}

/** The memory of a Buffer beside its bytes. */
const bufferCost = 200;

/**
 * The memory of what a socket has read and not emitted. A TLS socket that is paused still decrypts what has arrived,
 * and has a Buffer for each record, which may have a single byte.
 */
export function unreadBytes(socket: Socket): number {
  const { readableLength } = socket;
  if (readableLength === 0 || !('encrypted' in socket)) return readableLength;
  const state = '_readableState' in socket ? Object(socket)['_readableState'] : undefined;
  return readableLength + bufferCost * (state?.buffer?.length ?? 0);
}
