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
