import type { Socket } from 'node:net';
import { type Account, type Accounts, Held, type Holder } from '../account.ts';
import type { Spare } from '../room.ts';
import { Connection, type ConnectionDeps } from '../http2/connection.ts';
import { ConnectionError } from '../http2/errors.ts';
import type { Incident } from '../http2/incident.ts';
import { ConnectionTimes, lingerMs, type SocketTimes } from './connection_times.ts';
import type { Serve } from '../http2/stream.ts';
import { copyWork, type Flow, type Scheduler } from '../scheduler.ts';

/** A connection on its socket. */
export interface SocketConnection {
  readonly openStreams: number;
  /** Whether no stream is open, and all that was said has left. */
  readonly isIdle: boolean;
  /** Whether the peer is more than a greeting; see Connection. */
  readonly hasAnswered: boolean;
  /** Milliseconds since the last call; Infinity before the first. */
  readonly usedAgo: number;
  /** Sends GOAWAY, and closes when the last stream has ended (see Connection). */
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
  /** To be called now and then: keeps the times. */
  tick(): void;
}

/** A connection that speaks something else than HTTP/2. */
export interface OtherConnection extends Omit<SocketConnection, 'evict'>, Holder {
  /** See SocketConnection.evict(). */
  evictFor(incident: Incident): void;
  /** Its socket is gone. Calls back once nothing is held any more. */
  close(done: () => void): void;
}

/** What a connection has of its server. */
export interface ConnectionParts {
  account: Account;
  flow: Flow;
  /** Told when the first request begins, and when none is open any more. */
  onIdle: (isIdle: boolean) => void;
  report: (incident: Incident) => void;
}

/** Takes a socket over, of which nobody reads, and what it has said so far. */
export type ServeOther = (socket: Socket, said: Buffer, parts: ConnectionParts) => OtherConnection;

interface SocketDeps extends Omit<
  ConnectionDeps,
  'wake' | 'serve' | 'unsent' | 'unread' | 'flow' | 'account' | 'onHttp1'
> {
  serve: (...about: [...Parameters<Serve>, socket: Socket]) => ReturnType<Serve>;
  /** Serves peers of HTTP/1.1; they are refused, if it is left out. */
  serveHttp1?: ServeOther | undefined;
  times: SocketTimes;
  /** From 0 to 1: connections that were opened together are not all closed together. */
  random: () => number;
  scheduler: Scheduler;
  accounts: Accounts;
  /** Whose connection it is: those of one owner share what a server holds; undefined for a peer by itself. */
  owner: string | undefined;
  /** Told when the first stream is opened, and when none is open any more, and that again with each tick. */
  onIdle: (isIdle: boolean) => void;
  onClose: () => void;
  /** Told after that, once all its calls have ended. */
  onEnded: () => void;
}

/** Bytes of output that do not wait for the end of the turn: a peer that reads may have them before. */
const plenty = 128 * 1024;

/** What a connection takes beside what it holds, in bytes, the kernel's part not included. */
const connectionCost = { plaintext: 4 * 1024, tls: 64 * 1024 };

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
  { times, random, scheduler, accounts, owner, onIdle, onClose, onEnded, ...deps }: SocketDeps,
): SocketConnection {
  const serve: Serve = (stream, request) => deps.serve(stream, request, socket);
  const unsent = () => socket.writableLength;
  const unread = () => socket.readableLength;
  const flow = scheduler.createFlow();
  const account = accounts.open(owner);
  const ownCost = 'encrypted' in socket ? connectionCost.tls : connectionCost.plaintext;
  account.charge(Held.connections, ownCost);
  const onHttp1 = deps.serveHttp1 && ((said: Buffer) => handOver(said, deps.serveHttp1));
  const parts = { unsent, unread, flow, account, onHttp1 };
  const connection = new Connection({ ...deps, serve, wake, ...parts });
  /** Who has the socket instead. */
  let other: OtherConnection | undefined;
  account.holder = connection;
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
  let paused = false;
  /** What has been read waits for its part of a turn. */
  let isWaiting = false;
  /** The peer has so much to read that nothing is read of it. */
  let behind = false;
  /** Bytes that the socket has got. */
  let written = 0;
  /** Bytes that came when all had been said. */
  let passedOver = 0;
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
    },
  };

  socket
    .on('data', onData)
    .on('drain', onDrain)
    .on('end', onEnd)
    .on('error', () => {})
    .on('close', () => {
      closed = true;
      accounts.offRoom(settle);
      account.charge(Held.connections, -ownCost);
      onClose();
      (other ?? connection).close(() => {
        accounts.close(account, spare);
        onEnded();
      });
    });
  wake();

  return {
    get openStreams() {
      return (other ?? connection).openStreams;
    },
    get isIdle() {
      if (other) return other.isIdle;
      return connection.openStreams === 0 && connection.readyBytes + socket.writableLength === 0;
    },
    get hasAnswered() {
      return (other ?? connection).hasAnswered;
    },
    get usedAgo() {
      return (other ?? keeper).usedAgo;
    },
    shutdown: () => (other ?? keeper).shutdown(),
    evict: (incident) => (other ? other.evictFor(incident) : evict(incident)),
    destroy: () => drop(),
    tick() {
      if (other) return other.tick();
      const { writableEnded, writableLength } = socket;
      const unsent = writableEnded ? writableLength : undefined;
      keeper.tick({ paused, full, taken: written - writableLength, unsent });
      // No event tells of what left a socket that was not full, or came into one that is paused.
      connection.count();
      onIdle(idle);
      // Its share may have grown.
      if (paused && !connection.isOver) settle();
    },
  };

  function onData(chunk: Buffer): void {
    keeper.heard();
    if (socket.writableEnded) return passOver(chunk);
    connection.receive(chunk);
    if (!other) onRead();
  }

  function onDrain(): void {
    full = false;
    connection.count();
    wake();
  }

  function onEnd(): void {
    socket.end();
  }

  function handOver(said: Buffer, serveOther: ServeOther | undefined): void {
    if (!serveOther) return;
    socket.pause();
    socket.off('data', onData).off('drain', onDrain).off('end', onEnd);
    const report = deps.report ?? (() => {});
    other = serveOther(socket, said, { account, flow, onIdle, report });
    account.holder = other;
  }

  function onRead(): void {
    // Last words leave at once: a peer that has ended its side may not be written to in a turn.
    if (connection.isOver) return flush();
    if (connection.restBytes > 0 && !isWaiting) {
      isWaiting = true;
      flow.wait(goOn);
    }
    // Before the next chunk of this turn.
    settle();
    wake();
  }

  /**
   * All has been said, though it may not have left yet: what still comes is read and dropped, as a reset could overtake
   * our last words. Whoever goes on for longer than what was on its way does not read them.
   */
  function passOver({ length }: Buffer): void {
    passedOver += length;
    if (passedOver > 2 * deps.limits.connectionWindowSize) return void socket.destroy();
    flow.spend(copyWork(length));
    if (!flow.isSpent || socket.isPaused()) return;
    socket.pause();
    flow.wait(() => socket.resume());
  }

  function goOn(): void {
    isWaiting = false;
    if (closed || socket.writableEnded) return;
    connection.goOn();
    onRead();
  }

  function wake(): void {
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
    if (other) return;
    if (socket.writableEnded) return settle();
    if (full && !connection.isOver && !connection.isOverfull) return settle();
    write(connection.take({ room: !full, most: longestWrite }));
    settle();
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
    connection.count();
  }

  /**
   * Nothing more is read of a peer that has much to read itself, until it has read half of it. Where it has more
   * than its share of what there is, nothing more is read of a peer that only fills it or does not read itself,
   * and far beyond that of none that has a part in it: what a peer of ours might take of us comes behind what it
   * sends.
   */
  function settle(): void {
    if (socket.destroyed) return;
    if (!offered && connection.spareBytes > 0) {
      offered = true;
      accounts.offer(spare);
    }
    if (idle !== (connection.openStreams === 0)) onIdle((idle = !idle));
    const isBeyond = !account.mayGrow && hasPart();
    const { maxUnreadBytes } = deps.limits;
    // When it is not full any more, this is called again.
    behind = full && connection.unreadBytes > (behind ? maxUnreadBytes / 2 : maxUnreadBytes);
    const hasEnough = isBeyond || behind || connection.restBytes > mostRest;
    const pause = hasEnough && !connection.isOver;
    if (isBeyond && pause) accounts.onRoom(settle);
    if (pause === paused) return;
    paused = pause;
    if (pause) socket.pause();
    else socket.resume();
  }

  function hasPart(): boolean {
    return full || (account.mustStop ? connection.holdsMuch : connection.onlyReceives);
  }

  function evict({ reason, message }: Incident): void {
    // It has been told to go already.
    if (socket.writableEnded) return drop();
    connection.fail(new ConnectionError('NO_ERROR', message), reason);
    for (const bytes of connection.take({ room: false })) socket.write(bytes);
    socket.end();
    dropSoon();
  }

  /** By then the system has what it takes of our last words, and ends the connection behind them. */
  function dropSoon(): void {
    scheduler.atEnd(() => scheduler.atEnd(() => socket.destroy()));
  }

  function close(): void {
    if (socket.writableEnded) return;
    socket.end();
    // A reset could overtake our last words.
    socket.resume();
    const linger = () => void setTimeout(() => socket.destroy(), lingerMs).unref();
    // The end of a response may be among those words, and a slow reader have it to come; see tick().
    if (connection.isClosed) dropSoon();
    else if (connection.hasFailed) linger();
    else socket.once('finish', linger);
  }
}
