import type { Socket } from 'node:net';
import type { Limited } from '../account.ts';
import { Held } from '../held.ts';
import type { Incident } from '../http2/incident.ts';
import { cost } from '../scheduler.ts';
import type { Http1Server } from './http1.ts';
import type { ConnectionParts, OtherConnection, ServeOther } from './socket.ts';

/**
 * Serves HTTP/1.1 connections with a server that is loaded when the first connection arrives. A connection costs
 * node:http much work, so it begins in a turn that has quota for it.
 */
export function loadedByFirst(load: () => Promise<Http1Server>): ServeOther {
  let loading: Promise<Http1Server> | undefined;
  let loaded: Http1Server | undefined;

  return (socket, received, parts) => {
    const { flow } = parts;
    // With a full buffer, Node stops reading at once.
    socket.unshift(received);
    if (loaded && !flow.isSpent && !flow.isTurnFull) {
      flow.spend(cost.http1Connection);
      return loaded.attach(socket, parts);
    }
    loading ??= load().then((server) => (loaded = server));
    return new LateConnection(socket, parts, loading);
  };
}

/** A connection that waits until its server is loaded, and for its turn. */
class LateConnection implements OtherConnection {
  readonly hasAnswered = true;
  readonly #socket: Socket;
  readonly #parts: ConnectionParts;
  #charged: number;
  #real: OtherConnection | undefined;
  #isLeaving = false;

  constructor(socket: Socket, parts: ConnectionParts, loading: Promise<Http1Server>) {
    this.#socket = socket;
    this.#parts = parts;
    this.#charged = socket.readableLength;
    parts.account.charge(Held.input, this.#charged);
    const begin = (server: Http1Server) => parts.flow.wait(() => this.#begin(server));
    loading.then(begin, (error) => {
      process.emitWarning(error instanceof Error ? error : 'Cannot load the HTTP/1.1 server');
      socket.destroy();
    });
  }

  #begin(server: Http1Server): void {
    this.#release();
    if (this.#socket.destroyed) return;
    const { flow, account } = this.#parts;
    flow.spend(cost.http1Connection);
    this.#real = server.attach(this.#socket, this.#parts);
    account.holder = this.#real;
    if (this.#isLeaving) this.#real.shutdown();
  }

  /** Returns the number of bytes that are no longer charged. */
  #release(): number {
    const charged = this.#charged;
    this.#charged = 0;
    this.#parts.account.charge(Held.input, -charged);
    return charged;
  }

  get openStreams(): number {
    return this.#real?.openStreams ?? 0;
  }

  get isIdle(): boolean {
    return this.#real?.isIdle ?? false;
  }

  get usedAgo(): number {
    return this.#real?.usedAgo ?? 0;
  }

  shutdown(): void {
    this.#isLeaving = true;
    this.#real?.shutdown();
  }

  evictFor(incident: Incident): void {
    if (this.#real) this.#real.evictFor(incident);
    else this.#socket.destroy();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  tick(): void {
    this.#real?.tick();
  }

  close(done: () => void): void {
    if (this.#real) return this.#real.close(done);
    this.#release();
    done();
  }

  evict(limited: keyof Limited, since: number): number {
    if (this.#real) return this.#real.evict(limited, since);
    if (limited !== 'bytes') return 0;
    this.#socket.destroy();
    return this.#release();
  }

  evictStalled(since: number): number {
    return this.#real?.evictStalled(since) ?? 0;
  }
}
