import { once } from 'node:events';
import type {
  ClientHttp2Session,
  ClientHttp2Stream,
  ClientSessionRequestOptions,
  OutgoingHttpHeaders,
  Settings,
} from 'node:http2';
import { dialHttp2 } from './tls.ts';

/** A raw HTTP/2 client, which can do what gRPC clients never do. */
export interface RawClient {
  session: ClientHttp2Session;
  /** Opens a call, and sends nothing more on its own. */
  open(
    path: string,
    fields?: OutgoingHttpHeaders,
    options?: ClientSessionRequestOptions,
  ): ClientHttp2Stream;
  /** Resolves when both sides have received everything sent so far. */
  roundTrip(): Promise<void>;
  settings(settings: Settings): void;
  /** Disconnects with a TCP RST. */
  reset(): void;
  close(): void;
}

/** Connects to a server at HOST:PORT. */
export async function connectRaw(address: string, settings: Settings = {}): Promise<RawClient> {
  const { session, tcp } = dialHttp2(address, settings);
  await once(session, 'connect');
  return {
    session,
    open(path, fields = {}, options = {}) {
      const headers = { 'content-type': 'application/grpc', te: 'trailers', ...fields };
      const stream = session.request({ ':method': 'POST', ':path': path, ...headers }, options);
      stream.on('error', () => {});
      return stream;
    },
    roundTrip: () => new Promise((resolve) => session.ping(() => resolve())),
    settings: (changed) => session.settings(changed),
    reset: () => void tcp.resetAndDestroy(),
    close: () => session.destroy(),
  };
}

/** A message with its prefix: a flag and four octets of length. */
export function frame(message: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** The same with the compressed flag. */
export function packed(bytes: Uint8Array): Buffer {
  const whole = frame(bytes);
  whole[0] = 1;
  return whole;
}

/** The complete messages in the bytes of a stream. */
export function unframe(bytes: Buffer): Buffer[] {
  const messages: Buffer[] = [];
  for (let at = 0; at + 5 <= bytes.length;) {
    const end = at + 5 + bytes.readUInt32BE(at + 1);
    if (end <= bytes.length) messages.push(bytes.subarray(at + 5, end));
    at = end;
  }
  return messages;
}
