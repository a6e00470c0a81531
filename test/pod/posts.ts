import type { Socket } from 'node:net';
import type { Done, Posts } from './orders.ts';

/** A connection is closed, and replaced, after so many milliseconds. */
const connectionMs = 3000;

interface PostsDeps {
  dial: () => Socket;
  /** Updated with what is sent and received. */
  counts: Done;
}

/** Starts to send the requests of an order. */
export function startPosts(
  { path, size, missing, connections, time }: Omit<Posts, 'do' | 'port'>,
  { dial, counts }: PostsDeps,
): { ended: Promise<unknown>; leave: () => void } {
  const end = performance.now() + time;
  const open = new Set<Socket>();
  const request = requestOf(path, size);
  const sent = request.subarray(0, request.length - missing);
  const clients = Array.from({ length: connections }, (_, at) => repeat(at % 2 === 0));
  return {
    ended: Promise.all(clients),
    leave() {
      for (const socket of open) socket.resetAndDestroy();
    },
  };

  async function repeat(reads: boolean): Promise<void> {
    while (performance.now() < end) await post(reads);
  }

  async function post(reads: boolean): Promise<void> {
    const socket = dial().on('error', () => {});
    open.add(socket);
    counts.connected++;
    counts.calls++;
    socket.write(sent);
    if (reads) socket.on('data', ({ length }) => (counts.bytesRead += length));
    else socket.pause();
    socket.once('data', () => counts.ended++);
    const timer = setTimeout(() => socket.destroy(), connectionMs);
    await new Promise((resolve) => socket.once('close', resolve));
    clearTimeout(timer);
    counts.bytesSent += socket.bytesWritten;
    open.delete(socket);
  }
}

/** A request for a response as large as its payload. */
function requestOf(path: string, size: number): Buffer {
  const body = Buffer.from(JSON.stringify({ payload: 'A'.repeat(size), replies: [{ size }] }));
  const fields = ['host: x', 'content-type: application/json', `content-length: ${body.length}`];
  return Buffer.concat([
    Buffer.from(`POST ${path} HTTP/1.1\r\n${fields.join('\r\n')}\r\n\r\n`),
    body,
  ]);
}
