import type { Connection } from '../http2/connection.ts';
import { ConnectionError } from '../http2/errors.ts';
import type { Incident } from '../http2/incident.ts';

/** How long a connection may do what, in milliseconds; Infinity where that has no end. */
export interface SocketTimes {
  /** Until the client's whole preface is there. */
  preface: number;
  /** Without a stream, whatever frames come: then the connection is left, politely. */
  idle: number;
  /** Without a frame, before the peer is asked whether it is there. */
  keepalive: number;
  /** Until it must have answered. */
  keepaliveTimeout: number;
  /** Since it came: then it is left, politely. Each connection gets up to a tenth more. */
  age: number;
  /** From then until what is still open is cut. */
  ageGrace: number;
}

interface ConnectionTimesDeps {
  connection: Connection;
  times: SocketTimes;
  /** Milliseconds. */
  now: () => number;
  /** From 0 to 1: connections that were opened together are not all closed together. */
  random: () => number;
  /** Drops the socket, and says why if it is for what the peer did. */
  drop: (incident?: Incident) => void;
}

/** A peer that is told to go gets this long to read why, in milliseconds. */
export const lingerMs = 1000;

const noAnswer: Incident = {
  reason: 'keepalive_timeout',
  message: 'Cannot hear the peer: it has not answered a PING',
};

const noReader: Incident = {
  reason: 'keepalive_timeout',
  message: 'Cannot answer a peer that does not read',
};

/** What a tick has to know of a connection's socket. */
interface SocketState {
  /** Nothing is read of the peer, so that it cannot be heard. */
  paused: boolean;
  /** The peer has something to read before it gets more. */
  full: boolean;
  /** How many bytes the peer has taken so far. */
  taken: number;
  /** When nothing more is to be said, what still has to leave, in bytes. */
  unsent: number | undefined;
}

/** Keeps the times of one connection, whenever it is asked to. */
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
  /** Once all has been said: what of it was not sent at `#sentAt`, when there was less than before. */
  #unsent = Number.POSITIVE_INFINITY;
  #sentAt = 0;
  #taken = 0;
  /** When it last took something, or had nothing to take. */
  #takenAt: number;

  constructor(deps: ConnectionTimesDeps) {
    this.#deps = deps;
    this.#since = deps.now();
    this.#oldAt = this.#since + deps.times.age * (1 + deps.random() / 10);
    this.#heardAt = this.#since;
    this.#usedAt = this.#since;
    this.#takenAt = this.#since;
  }

  /** Something has come. */
  heard(): void {
    this.#heard = true;
  }

  /**
   * How long ago it had a call, in milliseconds: Infinity before the first, and 0 where there was one since
   * the last tick.
   */
  get usedAgo(): number {
    const { connection, now } = this.#deps;
    if (connection.lastStreamId === 0) return Number.POSITIVE_INFINITY;
    return connection.lastStreamId === this.#lastStreamId ? now() - this.#usedAt : 0;
  }

  /** Shuts the connection down gracefully; a second later, the peer has heard the first GOAWAY. */
  shutdown(): void {
    this.#leftAt ??= this.#deps.now();
    this.#deps.connection.shutdown();
  }

  /** To be called now and then. */
  tick({ paused, full, taken, unsent }: SocketState): void {
    const { connection, times, drop } = this.#deps;
    const now = this.#deps.now();
    if (unsent !== undefined) return this.#seeOut(unsent, now);
    // Whoever reads is there, though the answer to a PING comes behind all that it has to read.
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
    // Clients that keep their connections alive by PINGs use them no more for that.
    if (connection.openStreams > 0 || connection.lastStreamId !== this.#lastStreamId) {
      this.#usedAt = now;
      this.#lastStreamId = connection.lastStreamId;
    }
    const silentFor = now - this.#heardAt;
    if (this.#leftAt !== undefined && now - this.#leftAt >= lingerMs) connection.finishShutdown();
    this.#grow(now);
    if (!connection.hasPreface) {
      // However busily it comes byte by byte.
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

  /** A slow reader gets what there is for it; one that takes nothing is given up, as one that is silent is. */
  #seeOut(unsent: number, now: number): void {
    const { times, drop } = this.#deps;
    if (unsent < this.#unsent) {
      this.#unsent = unsent;
      this.#sentAt = now;
    }
    if (now - this.#sentAt >= times.keepalive + times.keepaliveTimeout) drop();
    // Whoever has reached its age has a time of its own.
    else if (now >= this.#cutAt + lingerMs) drop();
  }

  /** A connection that is shutting down already has its time from whoever began that. */
  #grow(now: number): void {
    const { connection, times, drop } = this.#deps;
    if (this.#leftAt === undefined && now >= this.#oldAt) {
      this.#cutAt = now + times.ageGrace;
      this.shutdown();
    }
    if (now < this.#cutAt) return;
    // The last words of its calls leave with this turn; a peer that does not take them has had its time.
    if (now - this.#cutAt >= lingerMs) drop();
    else connection.expire();
  }
}
