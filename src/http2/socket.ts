import type { Socket } from 'node:net';
import { Connection, type ConnectionDeps } from './connection.ts';
import { ErrorCode } from './errors.ts';
import type { Serve } from './stream.ts';
import type { Turn } from './turn.ts';

/** How long a connection may do nothing, in milliseconds. */
export interface SocketTimes {
  /** Until the client's whole preface is there. */
  preface: number;
  /**
   * Without a stream and without a frame, answers to our question whether it is there aside: then
   * the connection is left, politely.
   */
  idle: number;
  /** Without a frame, before the peer is asked whether it is there. */
  keepalive: number;
  /** Until it must have answered. */
  keepaliveTimeout: number;
}

/** A connection on its socket. */
export interface SocketConnection {
  readonly openStreams: number;
  /** Bytes kept for the peer or of it, those that wait in the socket included. */
  readonly heldBytes: number;
  /** Says that it leaves, and ends when the last stream has (see Connection). */
  shutdown(): void;
  /** Drops the socket; what is open ends here. */
  destroy(): void;
  /** Frees so many bytes, or closes. */
  shed(bytes: number): void;
  /** To be called now and then: keeps the times. */
  tick(): void;
}

interface SocketDeps extends Omit<ConnectionDeps, 'wake' | 'serve'> {
  serve: (...about: [...Parameters<Serve>, socket: Socket]) => ReturnType<Serve>;
  times: SocketTimes;
  turn: Turn;
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
  { times, turn, onClose, ...deps }: SocketDeps,
): SocketConnection {
  const serve: Serve = (stream, request) => deps.serve(stream, request, socket);
  const connection = new Connection({ ...deps, serve, wake });
  let scheduled = false;
  let full = false;
  let heard = false;
  const since = deps.now();
  let heardAt = since;
  let usedAt = since;
  let asked = false;
  let shutdownAt: number | undefined;
  let counted = 0;
  let paused = false;

  socket
    .on('data', (chunk: Buffer) => {
      heard = true;
      connection.receive(chunk);
      // Before the next chunk of this turn.
      account();
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
      deps.budget.leave(account);
      deps.budget.add(-counted);
      onClose();
    });
  wake();

  return {
    get openStreams() {
      return connection.openStreams;
    },
    get heldBytes() {
      return counted;
    },
    shed: (bytes) => connection.shed(bytes),
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
    turn.later(flush);
  }

  function flush(): void {
    scheduled = false;
    if (full && !connection.isOver) return account();
    const [first, ...more] = connection.take({ room: !full });
    if (first) {
      if (more.length > 0) socket.cork();
      full = !socket.write(first);
      for (const bytes of more) full = !socket.write(bytes);
      if (more.length > 0) socket.uncork();
    }
    account();
    if (connection.isOver) close();
    else if (!full && connection.wantsToSend) wake();
  }

  /** Beyond the budget nothing more is read of a peer that only fills it. */
  function account(): void {
    if (socket.destroyed) return;
    const held = connection.heldBytes + socket.writableLength;
    const { budget } = deps;
    const grown = held - counted;
    // First: where that makes room, this very function may be called back.
    counted = held;
    budget.add(grown);
    const isSpent = budget.excess > 0;
    const pause = isSpent && connection.onlyReceives && !connection.isOver;
    if (pause) budget.wait(account);
    if (pause === paused) return;
    paused = pause;
    if (pause) socket.pause();
    else socket.resume();
  }

  function close(): void {
    if (socket.writableEnded) return;
    socket.end();
    // What still comes is read and dropped: a reset could overtake our last words.
    socket.resume();
    setTimeout(() => socket.destroy(), lingerMs).unref();
  }

  function tick(): void {
    const now = deps.now();
    // Nor is a peer silent that we do not hear.
    if (heard || paused) {
      heardAt = now;
      // What has been asked for is no use of the connection.
      if (!asked) usedAt = now;
      heard = false;
      asked = false;
    }
    if (connection.openStreams > 0) usedAt = now;
    const silentFor = now - heardAt;
    if (shutdownAt !== undefined && now - shutdownAt >= lingerMs) connection.finishShutdown();
    if (!connection.hasPreface) {
      // However busily it comes byte by byte.
      if (now - since >= times.preface)
        connection.fail(ErrorCode.PROTOCOL_ERROR, 'Cannot wait longer');
    } else if (asked) {
      if (silentFor >= times.keepalive + times.keepaliveTimeout) socket.destroy();
    } else if (now - usedAt >= times.idle) {
      shutdownAt ??= now;
      connection.shutdown();
    } else if (silentFor >= times.keepalive) {
      asked = true;
      connection.ping();
    }
  }
}
