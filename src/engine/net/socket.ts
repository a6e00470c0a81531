import type { Socket } from 'node:net';
import type { Account, Accounts, Holder } from '../account.ts';
import { Held } from '../held.ts';
import type { Reclaimable } from '../admission.ts';
import { Connection, type ConnectionDeps } from '../http2/connection.ts';
import { ConnectionError } from '../http2/errors.ts';
import type { Incident } from '../http2/incident.ts';
import { ConnectionTimes, lingerMs, type SocketTimes } from './connection_times.ts';
import type { Serve } from '../http2/stream.ts';
import { copyWork, type Flow, type Scheduler } from '../scheduler.ts';

/** A connection bound to its socket. */
export interface SocketConnection {
  readonly openStreams: number;
  /** True if no stream is open and all output has been sent. */
  readonly isIdle: boolean;
  /** True if the peer has sent more than its preface; see Connection. */
  readonly hasAnswered: boolean;
  /** Milliseconds since the last call; Infinity before the first. */
  readonly usedAgo: number;
  /** Sends GOAWAY, and closes when the last stream has ended (see Connection). */
  shutdown(): void;
  /**
   * Closes the connection at once in favour of another one, with a single GOAWAY that names the last stream. Requests
   * in flight are not served, and clients, as those of gRPC do, may retry them elsewhere (RFC 9113 section 6.8). The
   * two GOAWAYs of shutdown() would keep the connection for a round trip, and for whatever arrives in it.
   */
  evict(incident: Incident): void;
  /** Destroys the socket and ends its streams. */
  destroy(): void;
  /** Must be called periodically: enforces the timeouts. */
  tick(): void;
}

/** A connection of another protocol than HTTP/2. */
export interface OtherConnection extends Omit<SocketConnection, 'evict'>, Holder {
  /** See SocketConnection.evict(). */
  evictFor(incident: Incident): void;
  /** Must be called when the socket is closed. Calls `done` once all charges are released. */
  close(done: () => void): void;
}

/** What a connection takes over from the HTTP/2 connection on its socket. */
export interface ConnectionParts {
  account: Account;
  flow: Flow;
  /** Called when the first request begins, and when no request is open any more. */
  onIdle: (isIdle: boolean) => void;
  report: (incident: Incident) => void;
}

/** Takes over a paused socket, with all bytes received so far. */
export type ServeOther = (
  socket: Socket,
  received: Buffer,
  parts: ConnectionParts,
) => OtherConnection;

interface SocketDeps extends Omit<
  ConnectionDeps,
  'wake' | 'serve' | 'unsent' | 'unread' | 'flow' | 'account' | 'onHttp1' | 'faults'
> {
  serve: (...about: [...Parameters<Serve>, socket: Socket]) => ReturnType<Serve>;
  /** Serves HTTP/1.1 peers; without it, they are refused. */
  serveHttp1?: ServeOther | undefined;
  times: SocketTimes;
  /** Returns 0 to 1, the jitter of the maximum age. */
  random: () => number;
  scheduler: Scheduler;
  accounts: Accounts;
  /** The peer that shares limits with other connections; undefined for a connection that is a peer of its own. */
  owner: string | undefined;
  /** Called when the first stream opens, when no stream is open any more, and then at each tick. */
  onIdle: (isIdle: boolean) => void;
  onClose: () => void;
  /** Called after that, once all of its calls have ended. */
  onEnded: () => void;
}

/** Bytes of output above which it is written before the end of the turn. */
const plenty = 128 * 1024;

/** The memory of a connection beside what is charged otherwise, in bytes, without the kernel's buffers. */
const connectionCost = { plaintext: 4 * 1024, tls: 64 * 1024 };

/** Bytes that are read ahead of processing. */
const maxRest = 16 * 1024;

/** The maximum size of one write: a socket reports progress only when the whole write is sent. */
const longestWrite = 256 * 1024;

/**
 * Binds a connection to its `net` or `tls` socket. The output of one turn of the event loop is sent in one write;
 * while the socket is full, no output is produced that can wait.
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
  const onHttp1 = deps.serveHttp1 && ((received: Buffer) => handOver(received, deps.serveHttp1));
  const faults = { drop: () => resetSocket(socket), retire: () => keeper.shutdown() };
  const parts = { unsent, unread, flow, account, onHttp1, faults };
  const connection = new Connection({ ...deps, serve, wake, ...parts });
  /** The connection that has taken over the socket. */
  let other: OtherConnection | undefined;
  account.holder = connection;
  let scheduled = false;
  let full = false;
  const drop = (incident?: Incident, hasStalled = incident !== undefined) => {
    if (incident) {
      deps.report?.(incident);
      connection.lost(new ConnectionError('NO_ERROR', incident.message));
    }
    // The kernel would keep megabytes for a peer that has stopped reading, for minutes.
    if (hasStalled && socket.writableLength > 0) resetSocket(socket);
    else socket.destroy();
  };
  const keeper = new ConnectionTimes({ connection, times, random, now: deps.now, drop });
  let paused = false;
  /** True while input waits for the quota of a later turn. */
  let isWaiting = false;
  /** True while the peer has so much to read that it is not read from. */
  let behind = false;
  /** Bytes written to the socket. */
  let written = 0;
  /** Bytes received after the connection was over. */
  let passedOver = 0;
  let idle = true;
  let offered = false;
  /** True once its charges are released. */
  let closed = false;
  const spare: Reclaimable = {
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
      accounts.offMemoryAvailable(settle);
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
      // No event reports progress of a socket that is not full, or the end of one that is paused.
      connection.count();
      onIdle(idle);
    },
  };

  function onData(chunk: Buffer): void {
    keeper.heard();
    if (socket.writableEnded) return passOver(chunk);
    connection.receive(chunk);
    if (!other) onRead();
  }

  function onDrain(): void {
    if (!full) return;
    full = false;
    connection.count();
    wake();
  }

  function onEnd(): void {
    socket.end();
  }

  function handOver(received: Buffer, serveOther: ServeOther | undefined): void {
    if (!serveOther) return;
    socket.pause();
    socket.off('data', onData).off('drain', onDrain).off('end', onEnd);
    const report = deps.report ?? (() => {});
    other = serveOther(socket, received, { account, flow, onIdle, report });
    account.holder = other;
  }

  function onRead(): void {
    // Written at once, as a peer that has ended its side may close before the end of the turn.
    if (connection.isOver) return flush();
    if (connection.restBytes > 0 && !isWaiting) {
      isWaiting = true;
      flow.wait(goOn);
    }
    // Before the next chunk of this turn is read, here or from another socket.
    if (account.mustStop && connection.holdsMostlyInput) account.shed();
    settle();
    wake();
  }

  /**
   * Reads and drops input after the connection is over, because closing a socket with unread input sends a TCP RST,
   * which may overtake the GOAWAY. A peer that sends more than was in flight does not read it anyway.
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
    if (socket.writableEnded) {
      // Its peer had ended its side; then it was evicted.
      if (connection.isClosed) dropSoon();
      return settle();
    }
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
    // write() returns false even if all has been sent.
    full = !goOn && socket.writableLength > 0;
    connection.count();
  }

  /**
   * Pauses reading from a peer that has too much to read, until it has read half of it. Above the byte limit, it also
   * pauses a peer above its fair share that only sends or does not read itself, and far above the limit every peer
   * that holds much, because frames that would free memory are queued behind what it sends.
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
    // settle() runs again when the output drains.
    behind = full && connection.unreadBytes > (behind ? maxUnreadBytes / 2 : maxUnreadBytes);
    const hasEnough = isBeyond || behind || connection.restBytes > maxRest;
    const pause = hasEnough && !connection.isOver;
    if (isBeyond && pause) accounts.onMemoryAvailable(account, settle);
    if (pause === paused) return;
    paused = pause;
    if (pause) socket.pause();
    else socket.resume();
  }

  function hasPart(): boolean {
    return full || (account.mustStop ? connection.holdsMuch : connection.onlyReceives);
  }

  function evict({ reason, message }: Incident): void {
    // GOAWAY has been sent.
    if (socket.writableEnded) return drop();
    connection.fail(new ConnectionError('NO_ERROR', message), reason);
    for (const bytes of connection.take({ room: false })) socket.write(bytes);
    socket.end();
    dropSoon();
  }

  /** By then the kernel has the last output, and closes the connection after it. */
  function dropSoon(): void {
    scheduler.atEnd(() => scheduler.atEnd(() => socket.destroy()));
  }

  function linger(): void {
    setTimeout(() => socket.destroy(), lingerMs).unref();
  }

  function close(): void {
    if (socket.writableEnded) return;
    socket.end();
    // Closing with unread input would send a TCP RST, which may overtake the last output.
    socket.resume();
    // A slow reader may still have the end of a response to receive; see tick().
    if (connection.isClosed) dropSoon();
    else if (connection.hasFailed) linger();
    else socket.once('finish', linger);
  }
}

/** Closes a socket, with a TCP RST if its kind can send one. */
export function resetSocket(socket: Socket): void {
  const isTcp = !('encrypted' in socket) && socket.remoteFamily !== undefined;
  if (isTcp) socket.resetAndDestroy();
  else socket.destroy();
}
