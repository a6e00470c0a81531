import type { Connection } from '../http2/connection.ts';
import { ConnectionError } from '../http2/errors.ts';
import type { Incident } from '../http2/incident.ts';

/** Timeouts of a connection, in milliseconds; Infinity disables one. */
export interface SocketTimes {
  /** Time to receive the client's connection preface. */
  preface: number;
  /** Time without an open stream, whatever frames arrive, before graceful shutdown of the connection. */
  idle: number;
  /** Time without a frame before a keepalive PING is sent. */
  keepalive: number;
  /** Time to answer it. */
  keepaliveTimeout: number;
  /** The maximum age before graceful shutdown. Each connection gets up to 10 % more. */
  age: number;
  /** Time from then until calls still open are ended. */
  ageGrace: number;
}

interface ConnectionTimesDeps {
  connection: Connection;
  times: SocketTimes;
  /** Milliseconds on a monotonic clock. */
  now: () => number;
  /** Returns 0 to 1, the jitter of the maximum age, so that connections opened together are not closed together. */
  random: () => number;
  /** Destroys the socket; the incident is given if the peer caused it. A peer that has stalled reads nothing more. */
  drop: (incident?: Incident, hasStalled?: boolean) => void;
}

/** Milliseconds that a peer has to read a GOAWAY before its socket is destroyed. */
export const lingerMs = 1000;

const noAnswer: Incident = {
  reason: 'keepalive_timeout',
  message: 'Cannot reach the peer: it has not answered a PING',
};

const noReader: Incident = {
  reason: 'keepalive_timeout',
  message: 'Cannot answer a peer that does not read',
};

/** The state of the socket that tick() needs. */
interface SocketState {
  /** True if reading is paused, so that frames cannot be noticed. */
  paused: boolean;
  /** True if the socket's write buffer is full. */
  full: boolean;
  /** Bytes that the peer has taken so far. */
  taken: number;
  /** Bytes still to be sent once the connection is over; undefined before. */
  unsent: number | undefined;
}

/** Enforces the timeouts of one connection, at each tick. */
export class ConnectionTimes {
  readonly #deps: ConnectionTimesDeps;
  readonly #since: number;
  readonly #oldAt: number;
  #heard = false;
  #heardAt: number;
  #usedAt: number;
  #lastStreamId = 0;
  #asked = false;
  #leftAt: number | undefined;
  #cutAt = Number.POSITIVE_INFINITY;
  /** The least number of unsent bytes seen once the connection is over, at `#sentAt`. */
  #unsent = Number.POSITIVE_INFINITY;
  #sentAt = 0;
  #taken = 0;
  /** When the peer last took data, or had none to take. */
  #takenAt: number;

  constructor(deps: ConnectionTimesDeps) {
    this.#deps = deps;
    this.#since = deps.now();
    this.#oldAt = this.#since + deps.times.age * (1 + deps.random() / 10);
    this.#heardAt = this.#since;
    this.#usedAt = this.#since;
    this.#takenAt = this.#since;
  }

  /** Notes that a frame has arrived. */
  heard(): void {
    this.#heard = true;
  }

  /** Milliseconds since the last call: Infinity before the first one, 0 if there was one since the last tick. */
  get usedAgo(): number {
    const { connection, now } = this.#deps;
    if (connection.lastStreamId === 0) return Number.POSITIVE_INFINITY;
    return connection.lastStreamId === this.#lastStreamId ? now() - this.#usedAt : 0;
  }

  /** Starts graceful shutdown of the connection; the second GOAWAY follows within a second. */
  shutdown(): void {
    this.#leftAt ??= this.#deps.now();
    this.#deps.connection.shutdown();
  }

  /** Must be called periodically. */
  tick({ paused, full, taken, unsent }: SocketState): void {
    const { connection, times, drop } = this.#deps;
    const now = this.#deps.now();
    if (unsent !== undefined) return this.#dropIfStalled(unsent, now);
    // A peer that reads is alive, though its answer to a PING may be queued behind what it has to read.
    const reads = full && taken !== this.#taken;
    if (reads || !full) {
      this.#taken = taken;
      this.#takenAt = now;
    }
    if (paused && now - this.#takenAt >= times.keepalive + times.keepaliveTimeout)
      return drop(noReader);
    if (this.#heard || paused || reads) {
      this.#heardAt = now;
      this.#heard = false;
      this.#asked = false;
    }
    // Keepalive PINGs do not count as use of the connection.
    if (connection.openStreams > 0 || connection.lastStreamId !== this.#lastStreamId) {
      this.#usedAt = now;
      this.#lastStreamId = connection.lastStreamId;
    }
    const silentFor = now - this.#heardAt;
    if (this.#leftAt !== undefined && now - this.#leftAt >= lingerMs) connection.finishShutdown();
    this.#enforceAge(now);
    if (!connection.hasPreface) {
      // A slow preface does not extend the time.
      if (now - this.#since >= times.preface)
        connection.fail(new ConnectionError('PROTOCOL_ERROR', 'Cannot wait longer for a preface'));
    } else if (this.#asked) {
      if (silentFor >= times.keepalive + times.keepaliveTimeout) drop(noAnswer);
    } else if (now - this.#usedAt >= times.idle) {
      this.shutdown();
    } else if (silentFor >= times.keepalive) {
      this.#asked = true;
      connection.ping();
    }
  }

  /** Lets a slow reader receive the rest, and gives up a peer that takes nothing. */
  #dropIfStalled(unsent: number, now: number): void {
    const { times, drop } = this.#deps;
    if (unsent < this.#unsent) {
      this.#unsent = unsent;
      this.#sentAt = now;
    }
    if (now - this.#sentAt >= times.keepalive + times.keepaliveTimeout) drop(undefined, true);
    // A connection past its maximum age has its own deadline.
    else if (now >= this.#cutAt + lingerMs) drop();
  }

  /** A connection that is already shutting down keeps the deadline of that shutdown. */
  #enforceAge(now: number): void {
    const { connection, times, drop } = this.#deps;
    if (this.#leftAt === undefined && now >= this.#oldAt) {
      this.#cutAt = now + times.ageGrace;
      this.shutdown();
    }
    if (now < this.#cutAt) return;
    // The statuses of its calls are sent at the end of this turn, if the peer takes them.
    if (now - this.#cutAt >= lingerMs) drop();
    else connection.expire();
  }
}
