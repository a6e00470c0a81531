import type { Socket } from 'node:net';
import type { Account, Accounts, Holder } from '../account.ts';
import { Held } from '../held.ts';
import type { Reclaimable } from '../admission.ts';
import { Connection, type ConnectionDeps } from '../http2/connection.ts';
import { ConnectionError } from '../http2/errors.ts';
import type { Incident } from '../http2/incident.ts';
import { unreadBytes } from './socket_buffers.ts';
import { ConnectionTimes, lingerMs, type SocketTimes } from './connection_times.ts';
import type { Serve } from '../http2/stream.ts';
import { copyWork, cost, type Flow, type Scheduler } from '../scheduler.ts';

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

/** What each chunk counts at least, in bytes, once the connection is over. */
const minPassedOver = 8 * 1024;

/** Bytes that are read ahead of processing. */
const maxRest = 16 * 1024;

/** The maximum size of one write: a socket reports progress only when the whole write is sent. */
const longestWrite = 256 * 1024;

/** Caches of a connection, which can be freed. */
class Spare implements Reclaimable {
  isOffered = false;
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  get isIdle(): boolean {
    return this.#connection.openStreams === 0;
  }

  drop(): void {
    this.isOffered = false;
    this.#connection.forget();
  }
}

/**
 * Binds a connection to its `net` or `tls` socket. The output of one turn of the event loop is sent in one write;
 * while the socket is full, no output is produced that can wait.
 */
export class BoundSocket implements SocketConnection {
  readonly #deps: SocketDeps;
  readonly #socket: Socket;
  readonly #account: Account;
  readonly #flow: Flow;
  readonly #connection: Connection;
  readonly #times: ConnectionTimes;
  readonly #spare: Spare;
  /** The connection that has taken over the socket. */
  #other: OtherConnection | undefined;
  #isScheduled = false;
  #isFull = false;
  #isPaused = false;
  /** True while input waits for the quota of a later turn. */
  #isWaiting = false;
  /** True while the peer has so much to read that it is not read from. */
  #isBehind = false;
  #isUnused = true;
  /** True once its charges are released. */
  #isClosed = false;
  /** Bytes written to the socket. */
  #written = 0;
  /** Bytes of the buffers that the last write shares with others, and keeps until it is sent. */
  #sharedBytes = 0;
  /** Bytes received after the connection was over. */
  #passedOver = 0;

  constructor(socket: Socket, deps: SocketDeps) {
    const { accounts, limits, now, owner, random, report, scheduler, serveHttp1, times } = deps;
    this.#deps = deps;
    this.#socket = socket;
    this.#flow = scheduler.createFlow();
    this.#account = accounts.open(owner);
    this.#account.charge(Held.connections, costOf(socket));
    this.#connection = new Connection({
      limits,
      now,
      report,
      http1Response: deps.http1Response,
      account: this.#account,
      flow: this.#flow,
      serve: (stream, request) => deps.serve(stream, request, socket),
      wake: this.#wake,
      unsent: () => (socket.writableLength > 0 ? socket.writableLength + this.#sharedBytes : 0),
      unread: () => unreadBytes(socket),
      onHttp1: serveHttp1 && ((received) => this.#handOver(received, serveHttp1)),
      faults: { drop: () => resetSocket(socket), retire: () => this.#times.shutdown() },
    });
    this.#account.holder = this.#connection;
    this.#spare = new Spare(this.#connection);
    this.#times = new ConnectionTimes({
      connection: this.#connection,
      times,
      random,
      now,
      drop: (incident, hasStalled) => this.#drop(incident, hasStalled),
    });
    socket
      .on('data', this.#onData)
      .on('drain', this.#onDrain)
      .on('end', endSocket)
      .on('error', () => {})
      .on('close', () => this.#onClose());
    this.#wake();
  }

  get openStreams(): number {
    return (this.#other ?? this.#connection).openStreams;
  }

  get isIdle(): boolean {
    if (this.#other) return this.#other.isIdle;
    const { openStreams, readyBytes } = this.#connection;
    return openStreams === 0 && readyBytes + this.#socket.writableLength === 0;
  }

  get hasAnswered(): boolean {
    return (this.#other ?? this.#connection).hasAnswered;
  }

  get usedAgo(): number {
    return (this.#other ?? this.#times).usedAgo;
  }

  shutdown(): void {
    (this.#other ?? this.#times).shutdown();
  }

  evict(incident: Incident): void {
    if (this.#other) return this.#other.evictFor(incident);
    // GOAWAY has been sent.
    if (this.#socket.writableEnded) return this.destroy();
    const { reason, message } = incident;
    this.#connection.fail(new ConnectionError('NO_ERROR', message), reason);
    for (const bytes of this.#connection.take({ room: false })) this.#socket.write(bytes);
    this.#socket.end();
    this.#dropSoon();
  }

  destroy(): void {
    this.#drop();
  }

  tick(): void {
    if (this.#other) return this.#other.tick();
    const { writableEnded, writableLength } = this.#socket;
    this.#times.tick({
      paused: this.#isPaused,
      full: this.#isFull,
      taken: this.#written - writableLength,
      unsent: writableEnded ? writableLength : undefined,
    });
    // No event reports progress of a socket that is not full, or the end of one that is paused.
    this.#connection.count();
    this.#deps.onIdle(this.#isUnused);
  }

  #drop(incident?: Incident, hasStalled = incident !== undefined): void {
    if (incident) {
      this.#deps.report?.(incident);
      this.#connection.lost(new ConnectionError('NO_ERROR', incident.message));
    }
    // The kernel would keep megabytes for a peer that has stopped reading, for minutes.
    if (hasStalled && this.#socket.writableLength > 0) resetSocket(this.#socket);
    else this.#socket.destroy();
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#times.heard();
    if (this.#socket.writableEnded) return this.#passOver(chunk);
    this.#connection.receive(chunk);
    if (!this.#other) this.#onRead();
  };

  readonly #onDrain = (): void => {
    if (!this.#isFull) return;
    this.#isFull = false;
    this.#connection.count();
    this.#wake();
  };

  #onClose(): void {
    const { accounts, onClose, onEnded } = this.#deps;
    this.#isClosed = true;
    accounts.offMemoryAvailable(this.#settle);
    this.#account.charge(Held.connections, -costOf(this.#socket));
    onClose();
    (this.#other ?? this.#connection).close(() => {
      accounts.close(this.#account, this.#spare);
      onEnded();
    });
  }

  #handOver(received: Buffer, serveOther: ServeOther): void {
    const { onIdle, report = () => {} } = this.#deps;
    this.#socket.pause();
    this.#socket.off('data', this.#onData).off('drain', this.#onDrain).off('end', endSocket);
    const parts = { account: this.#account, flow: this.#flow, onIdle, report };
    this.#other = serveOther(this.#socket, received, parts);
    this.#account.holder = this.#other;
  }

  #onRead(): void {
    // Written at once, as a peer that has ended its side may close before the end of the turn.
    if (this.#connection.isOver) return this.#flush();
    if (this.#connection.restBytes > 0 && !this.#isWaiting) {
      this.#isWaiting = true;
      this.#flow.wait(this.#goOn);
    }
    // Before the next chunk of this turn is read, here or from another socket.
    if (this.#account.mustStop && this.#connection.holdsMostlyInput) this.#account.shed();
    this.#settle();
    this.#wake();
  }

  /**
   * Reads and drops input after the connection is over, because closing a socket with unread input sends a TCP RST,
   * which may overtake the GOAWAY. A peer that sends more than was in flight does not read it anyway.
   */
  #passOver({ length }: Buffer): void {
    this.#passedOver += Math.max(length, minPassedOver);
    if (this.#passedOver > 2 * this.#deps.limits.connectionWindowSize) {
      return void this.#socket.destroy();
    }
    this.#flow.spend(cost.chunk + copyWork(length));
    if (!this.#flow.isSpent || this.#socket.isPaused()) return;
    this.#socket.pause();
    this.#flow.wait(() => this.#socket.resume());
  }

  readonly #goOn = (): void => {
    this.#isWaiting = false;
    if (this.#isClosed || this.#socket.writableEnded) return;
    this.#connection.goOn();
    this.#onRead();
  };

  readonly #wake = (): void => {
    if (this.#connection.readyBytes >= plenty && !this.#isFull) this.#writeNow();
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#deps.scheduler.atEnd(this.#flush);
  };

  #writeNow(): void {
    if (this.#socket.writableEnded || this.#connection.isOverfull) return;
    this.#write(this.#connection.take({ room: false, most: longestWrite }));
  }

  readonly #flush = (): void => {
    this.#isScheduled = false;
    if (this.#other) return;
    this.#send();
    this.#connection.compact();
  };

  #send(): void {
    const connection = this.#connection;
    if (this.#socket.writableEnded) {
      // Its peer had ended its side; then it was evicted.
      if (connection.isClosed) this.#dropSoon();
      return this.#settle();
    }
    if (this.#isFull && !connection.isOver && !connection.isOverfull) return this.#settle();
    this.#write(connection.take({ room: !this.#isFull, most: longestWrite }));
    this.#settle();
    if (connection.isOver) this.#close();
    else if (connection.isOverfull || (!this.#isFull && connection.wantsToSend)) this.#wake();
  }

  #write(all: Buffer[]): void {
    if (all.length === 0) return;
    const socket = this.#socket;
    const isOne = all.length === 1;
    if (!isOne) socket.cork();
    let goOn = true;
    for (const bytes of all) {
      goOn = socket.write(bytes);
      this.#written += bytes.length;
    }
    if (!isOne) socket.uncork();
    // write() returns false even if all has been sent.
    this.#isFull = !goOn && socket.writableLength > 0;
    this.#sharedBytes = this.#isFull ? sharedBytesOf(all) : 0;
    this.#connection.count();
  }

  /**
   * Pauses reading from a peer that has too much to read, until it has read half of it. Above the byte limit, it also
   * pauses a peer above its fair share that only sends or does not read itself, and far above the limit every peer
   * that holds much, because frames that would free memory are queued behind what it sends.
   */
  readonly #settle = (): void => {
    if (this.#socket.destroyed) return;
    const connection = this.#connection;
    const { accounts, limits, onIdle } = this.#deps;
    if (!this.#spare.isOffered && connection.spareBytes > 0) {
      this.#spare.isOffered = true;
      accounts.offer(this.#spare);
    }
    if (this.#isUnused !== (connection.openStreams === 0)) {
      this.#isUnused = !this.#isUnused;
      onIdle(this.#isUnused);
    }
    const isBeyond = !this.#account.mayGrow && this.#hasPart();
    const { maxUnreadBytes } = limits;
    const maxUnread = this.#isBehind ? maxUnreadBytes / 2 : maxUnreadBytes;
    // This runs again when the output drains.
    this.#isBehind = this.#isFull && connection.unreadBytes > maxUnread;
    const hasEnough = isBeyond || this.#isBehind || connection.restBytes > maxRest;
    const pause = hasEnough && !connection.isOver;
    if (isBeyond && pause) accounts.onMemoryAvailable(this.#account, this.#settle);
    if (pause === this.#isPaused) return;
    this.#isPaused = pause;
    if (pause) this.#socket.pause();
    else this.#socket.resume();
  };

  #hasPart(): boolean {
    if (this.#isFull) return true;
    return this.#account.mustStop ? this.#connection.holdsMuch : this.#connection.onlyReceives;
  }

  /** By then the kernel has the last output, and closes the connection after it. */
  #dropSoon(): void {
    const { scheduler } = this.#deps;
    scheduler.atEnd(() => scheduler.atEnd(() => this.#socket.destroy()));
  }

  #linger(): void {
    setTimeout(() => this.#socket.destroy(), lingerMs).unref();
  }

  #close(): void {
    const socket = this.#socket;
    if (socket.writableEnded) return;
    socket.end();
    // Closing with unread input would send a TCP RST, which may overtake the last output.
    socket.resume();
    // A slow reader may still have the end of a response to receive; see tick().
    if (this.#connection.isClosed) this.#dropSoon();
    else if (this.#connection.hasFailed) this.#linger();
    else socket.once('finish', () => this.#linger());
  }
}

function costOf(socket: Socket): number {
  return 'encrypted' in socket ? connectionCost.tls : connectionCost.plaintext;
}

/** The size of the buffers of which most is not in this output. */
function sharedBytesOf(output: readonly Buffer[]): number {
  let total = 0;
  let last: ArrayBufferLike | undefined;
  for (const { buffer, length } of output) {
    if (buffer === last || 2 * length >= buffer.byteLength) continue;
    last = buffer;
    total += buffer.byteLength;
  }
  return total;
}

function endSocket(this: Socket): void {
  this.end();
}

/** Closes a socket, with a TCP RST if its kind can send one. */
export function resetSocket(socket: Socket): void {
  const isTcp = !('encrypted' in socket) && socket.remoteFamily !== undefined;
  if (isTcp) socket.resetAndDestroy();
  else socket.destroy();
}
