import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { ServerHttp2Session } from 'node:http2';

/** The open streams, and so the calls, of HTTP/2 servers in this process. */
export interface OpenStreams extends Disposable {
  count(): number;
  /** Resolves when there is none, or when counting has stopped. */
  none(): Promise<void>;
  /** Cancels all streams, and closes connections that have or had any. */
  cut(): void;
}

/**
 * Counts the streams of servers at these ports or socket paths, from now on. grpc-js does not expose its servers, and
 * middleware see a call only after its request and before its status; Node's diagnostics channels see all of it.
 */
export function countOpenStreams(isOurs: (at: number | string) => boolean): OpenStreams {
  const open = new Set<ServerStream>();
  const sessions = new Set<ServerHttp2Session>();
  /** A closed server has no address any more, but may still have streams. */
  const servers = new WeakMap<object, boolean>();
  const waiting = new Set<() => void>();
  subscribe('http2.server.stream.start', onStart);
  subscribe('http2.server.stream.close', onClose);

  return {
    count: () => open.size,
    none: () =>
      new Promise((resolve) => {
        if (open.size === 0) resolve();
        else waiting.add(resolve);
      }),
    cut() {
      for (const stream of open) stream.close(cancel);
      // RST_STREAM is sent first.
      const dropped = [...sessions];
      setImmediate(() => dropped.forEach((session) => session.destroy()));
    },
    [Symbol.dispose]() {
      unsubscribe('http2.server.stream.start', onStart);
      unsubscribe('http2.server.stream.close', onClose);
      open.clear();
      release();
    },
  };

  function onStart(message: unknown): void {
    const stream = streamOf(message);
    const session = stream?.session;
    if (!session) return;
    const { server } = session;
    let ours = servers.get(server);
    if (ours === undefined) servers.set(server, (ours = isOurs(addressOf(server))));
    if (!ours) return;
    open.add(stream);
    if (sessions.has(session)) return;
    sessions.add(session);
    session.once('close', () => sessions.delete(session));
  }

  function onClose(message: unknown): void {
    const stream = streamOf(message);
    if (!stream || !open.delete(stream) || open.size > 0) return;
    release();
  }

  function release(): void {
    for (const resolve of waiting) resolve();
    waiting.clear();
  }
}

/** RFC 9113 section 7, CANCEL. */
const cancel = 8;

interface ServerStream {
  readonly session?: ServerHttp2Session;
  close(code: number): void;
}

function addressOf(server: ServerHttp2Session['server']): number | string {
  const address = server.address() ?? '';
  return typeof address === 'string' ? address : address.port;
}

function streamOf(message: unknown): ServerStream | undefined {
  // As Node documents its channels: https://nodejs.org/api/diagnostics_channel.html#http2
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return (message as { stream?: ServerStream }).stream;
}
