import type { Socket } from 'node:net';
import type { Spare } from '../byte_budget.ts';
import { Connection, type ConnectionDeps } from '../http2/connection.ts';
import { ConnectionError } from '../http2/errors.ts';
import type { Incident } from '../http2/incident.ts';
import { ConnectionTimes, lingerMs, type SocketTimes } from './connection_times.ts';
import type { Serve } from '../http2/stream.ts';
import type { Scheduler } from '../scheduler.ts';

/** A connection on its socket. */
export interface SocketConnection {
  readonly openStreams: number;
  /** Bytes kept for the peer or of it, those that wait in the socket included. */
  readonly heldBytes: number;
  /** Whether no stream is open, and all that was said has left. */
  readonly isIdle: boolean;
  /** Whether the peer is more than a greeting; see Connection. */
  readonly hasAnswered: boolean;
  /** Milliseconds since the last call; Infinity before the first. */
  readonly usedAgo: number;
  /** Says that it leaves, and ends when the last stream has (see Connection). */
  shutdown(): void;
  /**
   * Has the peer go, for a reason that is none of its own, and drops the socket at once. One GOAWAY names the
   * last stream: a request that is on its way will not be served, and its client knows that it may send it
   * again elsewhere (RFC 9113 section 6.8), as those of gRPC do by themselves. Two of them, as shutdown() has,
   * would keep the connection for a round trip, and then for whatever came in it.
   */
  evict(incident: Incident): void;
  /** Drops the socket; what is open ends here. */
  destroy(): void;
  /** Frees so many bytes, or closes. */
  shed(bytes: number): void;
  /** To be called now and then: keeps the times. */
  tick(): void;
}

interface SocketDeps extends Omit<ConnectionDeps, 'wake' | 'serve' | 'unsent' | 'flow'> {
  serve: (...about: [...Parameters<Serve>, socket: Socket]) => ReturnType<Serve>;
  times: SocketTimes;
  /** From 0 to 1: connections that came together do not all leave together. */
  random: () => number;
  scheduler: Scheduler;
  /** Told when the first stream is opened, and when none is open any more, and that again with each tick. */
  onIdle: (isIdle: boolean) => void;
  onClose: () => void;
}

/** Bytes of output that do not wait for the end of the turn: a peer that reads may have them before. */
const plenty = 128 * 1024;

/** Bytes that are read before those have been dealt with. */
const mostRest = 16 * 1024;

/** Bytes that the socket gets at once: it does not say what it has sent of them before it has sent them all. */
const longestWrite = 256 * 1024;

/**
 * Binds a connection to its `net` or `tls` socket. What one turn of the event loop produces leaves in
 * one write; while the socket is full, nothing is made that can wait.
 */
export function bindSocket(
  socket: Socket,
  { times, random, scheduler, onIdle, onClose, ...deps }: SocketDeps,
): SocketConnection {
  const serve: Serve = (stream, request) => deps.serve(stream, request, socket);
  const unsent = () => socket.writableLength;
  const flow = scheduler.createFlow();
  const connection = new Connection({ ...deps, serve, wake, unsent, flow });
  let scheduled = false;
  let full = false;
  const drop = (incident?: Incident) => {
    if (incident) {
      deps.report?.(incident);
      connection.lost(new ConnectionError('NO_ERROR', incident.message));
    }
    socket.destroy();
  };
  const keeper = new ConnectionTimes({ connection, times, random, now: deps.now, drop });
  let counted = 0;
  let paused = false;
  /** What has been read waits for its part of a turn. */
  let isWaiting = false;
  /** The peer has so much to read that nothing is read of it. */
  let behind = false;
  /** Bytes that the socket has got. */
  let written = 0;
  let idle = true;
  let offered = false;
  /** What it had is not counted any more. */
  let closed = false;
  const spare: Spare = {
    get isIdle() {
      return connection.openStreams === 0;
    },
    drop() {
      offered = false;
      connection.forget();
      count();
    },
  };

  socket
    .on('data', (chunk: Buffer) => {
      keeper.heard();
      // All has been said, though it may not have left yet: what still comes is read and dropped.
      if (socket.writableEnded) return;
      connection.receive(chunk);
      onRead();
    })
    .on('drain', () => {
      full = false;
      wake();
    })
    .on('end', () => socket.end())
    .on('error', () => {})
    .on('close', () => {
      closed = true;
      connection.lost();
      deps.budget.leave(account);
      deps.budget.withdraw(spare);
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
    get isIdle() {
      return connection.openStreams === 0 && connection.readyBytes + socket.writableLength === 0;
    },
    get hasAnswered() {
      return connection.hasAnswered;
    },
    get usedAgo() {
      return keeper.usedAgo;
    },
    shed: (bytes) => connection.shed(bytes),
    shutdown: () => keeper.leave(),
    evict,
    destroy: () => drop(),
    tick() {
      const { writableEnded, writableLength } = socket;
      const unsent = writableEnded ? writableLength : undefined;
      keeper.tick({ paused, full, taken: written - writableLength, unsent });
      onIdle(idle);
    },
  };

  function onRead(): void {
    // Last words leave at once: a peer that has ended its side may not be written to in a turn.
    if (connection.isOver) return flush();
    if (connection.restBytes > 0 && !isWaiting) {
      isWaiting = true;
      flow.wait(goOn);
    }
    // Before the next chunk of this turn.
    account();
    wake();
  }

  function goOn(): void {
    isWaiting = false;
    if (closed || socket.writableEnded) return;
    connection.goOn();
    onRead();
  }

  function wake(grown = 0): void {
    // At the end of the turn all of it is counted anew.
    if (grown > 0 && !closed) {
      counted += grown;
      deps.budget.add(grown);
    }
    if (connection.readyBytes >= plenty && !full) writeNow();
    if (scheduled) return;
    scheduled = true;
    scheduler.atEnd(flush);
  }

  function writeNow(): void {
    if (socket.writableEnded || connection.isOverfull) return;
    write(connection.take({ room: false, most: longestWrite }));
  }

  function flush(): void {
    scheduled = false;
    if (socket.writableEnded) return account();
    if (full && !connection.isOver && !connection.isOverfull) return account();
    write(connection.take({ room: !full, most: longestWrite }));
    account();
    if (connection.isOver) close();
    else if (connection.isOverfull || (!full && connection.wantsToSend)) wake();
  }

  function write([first, ...more]: Buffer[]): void {
    if (!first) return;
    if (more.length > 0) socket.cork();
    let goOn = socket.write(first);
    written += first.length;
    for (const bytes of more) {
      goOn = socket.write(bytes);
      written += bytes.length;
    }
    if (more.length > 0) socket.uncork();
    // Of what is large it says to wait, though all of it may have left by now.
    full = !goOn && socket.writableLength > 0;
  }

  /**
   * Nothing more is read of a peer that has much to read itself, until it has read half of it. Beyond the
   * budget nothing more is read of a peer that only fills it or does not read itself, and far beyond it of
   * none that has a part in it: what a peer of ours might take of us comes behind what it sends.
   */
  function account(): void {
    if (socket.destroyed) return;
    count();
    const { budget } = deps;
    if (idle !== (connection.openStreams === 0)) onIdle((idle = !idle));
    const { onlyReceives, holdsMuch } = connection;
    const isEnough = full || (budget.isFarExceeded ? holdsMuch : onlyReceives);
    const isBeyond = isEnough && budget.excess > 0;
    const { maxUnreadBytes } = deps.limits;
    // When it is not full any more, this is called again.
    behind = full && connection.unreadBytes > (behind ? maxUnreadBytes / 2 : maxUnreadBytes);
    const hasEnough = isBeyond || behind || connection.restBytes > mostRest;
    const pause = hasEnough && !connection.isOver;
    if (isBeyond && pause) budget.wait(account);
    if (pause === paused) return;
    paused = pause;
    if (pause) socket.pause();
    else socket.resume();
  }

  function evict({ reason, message }: Incident): void {
    // It has been told to go already.
    if (socket.writableEnded) return drop();
    connection.fail(new ConnectionError('NO_ERROR', message), reason);
    for (const bytes of connection.take({ room: false })) socket.write(bytes);
    socket.end();
    // By then the system has what it takes of that, and ends the connection behind it.
    scheduler.atEnd(() => scheduler.atEnd(() => socket.destroy()));
  }

  function count(): void {
    if (closed) return;
    const held = connection.heldBytes + socket.writableLength + socket.readableLength;
    const grown = held - counted;
    if (!offered && connection.spareBytes > 0) {
      offered = true;
      deps.budget.offer(spare);
    }
    // First: where that makes room, account() may be called back, and where there is none, drop().
    counted = held;
    deps.budget.add(grown);
  }

  function close(): void {
    if (socket.writableEnded) return;
    socket.end();
    // A reset could overtake our last words.
    socket.resume();
    const linger = () => void setTimeout(() => socket.destroy(), lingerMs).unref();
    // The end of a response may be among those words, and a slow reader have it to come; see tick().
    if (connection.hasFailed) linger();
    else socket.once('finish', linger);
  }
}
