import type { Socket } from 'node:net';
import { Connection, type ConnectionDeps } from './connection.ts';
import { ErrorCode } from './errors.ts';

/** How long a connection may do nothing, in milliseconds. */
export interface SocketTimes {
  /** Until the client's preface is there. */
  preface: number;
  /** Without a stream and without a frame: then the connection is left, politely. */
  idle: number;
  /** Without a frame, before the peer is asked whether it is there. */
  keepalive: number;
  /** Until it must have answered. */
  keepaliveTimeout: number;
}

/** A connection on its socket. */
export interface SocketConnection {
  readonly openStreams: number;
  /** Says that it leaves, and ends when the last stream has (see Connection). */
  shutdown(): void;
  /** Drops the socket; what is open ends here. */
  destroy(): void;
  /** To be called now and then: keeps the times. */
  tick(): void;
}

interface SocketDeps extends Omit<ConnectionDeps, 'wake'> {
  times: SocketTimes;
  onClose: () => void;
}

/** A peer that is told to go gets this long to read why, in milliseconds. */
const lingerMs = 1000;

/**
 * Binds a connection to its `net` or `tls` socket. What one turn of the event loop produces leaves in
 * one write; while the socket is full, nothing is made that can wait.
 */
export function bindSocket(
  socket: Socket,
  { times, onClose, ...deps }: SocketDeps,
): SocketConnection {
  const connection = new Connection({ ...deps, wake });
  let scheduled = false;
  let full = false;
  let heardAt = deps.now();
  let asked = false;
  let shutdownAt: number | undefined;

  socket
    .on('data', (chunk: Buffer) => {
      heardAt = deps.now();
      asked = false;
      connection.receive(chunk);
      wake();
    })
    .on('drain', () => {
      full = false;
      wake();
    })
    .on('end', () => socket.end())
    .on('error', () => {})
    .on('close', () => {
      connection.lost();
      onClose();
    });
  wake();

  return {
    get openStreams() {
      return connection.openStreams;
    },
    shutdown() {
      shutdownAt ??= deps.now();
      connection.shutdown();
    },
    destroy: () => void socket.destroy(),
    tick,
  };

  function wake(): void {
    if (scheduled) return;
    scheduled = true;
    setImmediate(flush);
  }

  function flush(): void {
    scheduled = false;
    if (full && !connection.isOver) return;
    const [first, ...more] = connection.take({ room: !full });
    if (first) {
      if (more.length > 0) socket.cork();
      full = !socket.write(first);
      for (const bytes of more) full = !socket.write(bytes);
      if (more.length > 0) socket.uncork();
    }
    if (connection.isOver) close();
    else if (!full && connection.wantsToSend) wake();
  }

  function close(): void {
    if (socket.writableEnded) return;
    socket.end();
    // What still comes is read and dropped: a reset could overtake our last words.
    socket.resume();
    setTimeout(() => socket.destroy(), lingerMs).unref();
  }

  function tick(): void {
    const silentFor = deps.now() - heardAt;
    if (shutdownAt !== undefined && deps.now() - shutdownAt >= lingerMs)
      connection.finishShutdown();
    if (!connection.hasPreface) {
      if (silentFor >= times.preface)
        connection.fail(ErrorCode.PROTOCOL_ERROR, 'Cannot wait longer');
    } else if (asked) {
      if (silentFor >= times.keepalive + times.keepaliveTimeout) socket.destroy();
    } else if (connection.openStreams === 0 && silentFor >= times.idle) {
      shutdownAt ??= deps.now();
      connection.shutdown();
    } else if (silentFor >= times.keepalive) {
      asked = true;
      connection.ping();
    }
  }
}
