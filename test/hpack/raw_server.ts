import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';

interface RawServerDeps {
  /** Returns the header block of the response. */
  onHeaders: (block: Buffer) => Buffer;
}

interface RawServer extends AsyncDisposable {
  readonly url: string;
}

const type = { headers: 1, settings: 4, continuation: 9 } as const;
const flag = { ack: 0x1, endStream: 0x1, endHeaders: 0x4, padded: 0x8, priority: 0x20 } as const;
const prefaceLength = 24;
const maxFrameSize = 16_384;

/** An HTTP/2 server for one client that only processes header blocks. */
export async function serveRaw({ onHeaders }: RawServerDeps): Promise<RawServer> {
  let client: Socket | undefined;
  let parts: Buffer[] = [];
  let failure: unknown;

  const server = createServer((socket) => {
    client = socket;
    let rest = Buffer.alloc(0);
    let greeted = false;
    socket.write(frame(type.settings, 0, 0, Buffer.alloc(0)));
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk]);
      if (!greeted && rest.length < prefaceLength) return;
      if (!greeted) rest = rest.subarray(prefaceLength);
      greeted = true;
      socket.cork();
      while (rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
        const end = 9 + rest.readUIntBE(0, 3);
        try {
          take(socket, rest.subarray(0, end));
        } catch (error) {
          failure = error;
          socket.destroy();
        }
        rest = rest.subarray(end);
      }
      socket.uncork();
    });
  });
  server.listen(0, 'localhost');
  await once(server, 'listening');
  const address = server.address();

  return {
    url: `http://localhost:${typeof address === 'object' ? address?.port : address}`,
    async [Symbol.asyncDispose]() {
      client?.destroy();
      server.close();
      await once(server, 'close');
      if (failure) throw new Error('The server failed', { cause: failure });
    },
  };

  function take(socket: Socket, whole: Buffer): void {
    const [kind, flags, stream] = [whole[3], whole[4] ?? 0, whole.readUInt32BE(5)];
    if (kind === type.settings && (flags & flag.ack) === 0) {
      socket.write(frame(type.settings, flag.ack, 0, Buffer.alloc(0)));
    } else if (kind === type.headers || kind === type.continuation) {
      parts.push(kind === type.headers ? withoutExtras(whole, flags) : whole.subarray(9));
      if ((flags & flag.endHeaders) === 0) return;
      const block = Buffer.concat(parts);
      parts = [];
      answer(socket, stream, onHeaders(block));
    }
  }
}

function withoutExtras(whole: Buffer, flags: number): Buffer {
  const padding = (flags & flag.padded) === 0 ? 0 : whole.readUInt8(9);
  const start = 9 + ((flags & flag.padded) === 0 ? 0 : 1) + ((flags & flag.priority) === 0 ? 0 : 5);
  return whole.subarray(start, whole.length - padding);
}

function answer(socket: Socket, stream: number, block: Buffer): void {
  for (let at = 0; at === 0 || at < block.length; at += maxFrameSize) {
    const part = block.subarray(at, at + maxFrameSize);
    const last = at + maxFrameSize >= block.length ? flag.endHeaders : 0;
    if (at === 0) socket.write(frame(type.headers, last | flag.endStream, stream, part));
    else socket.write(frame(type.continuation, last, stream, part));
  }
}

function frame(kind: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(kind, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}
