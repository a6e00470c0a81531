import { prefixLength } from '../engine/index.ts';

/** Prepends a prefix with these flags to a message (https://connectrpc.com/docs/protocol/#streaming-rpcs). */
export function frame(flags: number, bytes: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafeSlow(prefixLength + bytes.length);
  framed[0] = flags;
  framed.writeUInt32BE(bytes.length, 1);
  framed.set(bytes, prefixLength);
  return framed;
}
