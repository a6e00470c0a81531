import { once } from 'node:events';
import type {
  ClientHttp2Session,
  ClientHttp2Stream,
  ClientSessionRequestOptions,
  OutgoingHttpHeaders,
  Settings,
} from 'node:http2';
import { dialHttp2 } from './tls.ts';

/** A client without gRPC's manners, for what well-kept clients never do. */
export interface RawClient {
  session: ClientHttp2Session;
  /** Opens a call; it sends nothing more by itself. */
  open(
    path: string,
    fields?: OutgoingHttpHeaders,
    options?: ClientSessionRequestOptions,
  ): ClientHttp2Stream;
  /** Resolves when the server has seen all that was sent so far, and we all that it answered. */
  roundTrip(): Promise<void>;
  settings(settings: Settings): void;
  /** Goes away without a word: a TCP reset. */
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

/** A message as it stands in a stream: a flag, four bytes of length, and itself. */
export function frame(message: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** The same for one that says it is compressed. */
export function packed(bytes: Uint8Array): Buffer {
  const whole = frame(bytes);
  whole[0] = 1;
  return whole;
}

/** The whole messages in the bytes of a stream. */
export function unframe(bytes: Buffer): Buffer[] {
  const messages: Buffer[] = [];
  for (let at = 0; at + 5 <= bytes.length;) {
    const end = at + 5 + bytes.readUInt32BE(at + 1);
    if (end <= bytes.length) messages.push(bytes.subarray(at + 5, end));
    at = end;
  }
  return messages;
}
