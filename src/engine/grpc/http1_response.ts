import type { Socket } from 'node:net';
import { peerOf } from '../net/connection_info.ts';

/** The HTTP/1.1 response to curl or a browser that does not speak HTTP/2; it explains how to call the server. */
export function http1Response(socket: Socket): Buffer {
  const { localAddress, localPort } = socket;
  const address = localAddress ? peerOf(localAddress, localPort) : `unix:PATH`;
  const plaintext = 'encrypted' in socket ? '-insecure' : '-plaintext';
  const text = `This is a gRPC server, which speaks HTTP/2. Try: grpcurl ${plaintext} ${address} list\n`;
  const head = [
    'HTTP/1.1 400 Bad Request',
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${text.length}`,
    'Connection: close',
  ];
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${text}`, 'latin1');
}
