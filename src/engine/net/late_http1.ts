import type { Socket } from 'node:net';
import type { Limited } from '../account.ts';
import { letGo } from '../buffers.ts';
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
    if (loaded && !flow.isSpent && !flow.isTurnFull) {
      flow.spend(cost.http1Connection);
      return loaded.attach(socket, received, parts);
    }
    loading ??= load().then((server) => (loaded = server));
    return new LateConnection(socket, received, { parts, loading });
  };
}

/** A connection that waits until its server is loaded, and for its turn. */
class LateConnection implements OtherConnection {
  readonly hasAnswered = true;
  readonly #socket: Socket;
  readonly #parts: ConnectionParts;
  #received: Buffer | undefined;
  #real: OtherConnection | undefined;
  #isLeaving = false;

  constructor(
    socket: Socket,
    received: Buffer,
    { parts, loading }: { parts: ConnectionParts; loading: Promise<Http1Server> },
  ) {
    this.#socket = socket;
    this.#parts = parts;
    this.#received = received;
    parts.account.charge(Held.input, received.length);
    const begin = (server: Http1Server) => parts.flow.wait(() => this.#begin(server));
    loading.then(begin, (error) => {
      process.emitWarning(error instanceof Error ? error : 'Cannot load the HTTP/1.1 server');
      socket.destroy();
    });
  }

  #begin(server: Http1Server): void {
    const received = this.#release();
    if (!received) return;
    const { flow, account } = this.#parts;
    flow.spend(cost.http1Connection);
    this.#real = server.attach(this.#socket, received, this.#parts);
    account.holder = this.#real;
    if (this.#isLeaving) this.#real.shutdown();
  }

  /** Returns the bytes received so far, which are no longer charged; undefined if the socket is closed. */
  #release(): Buffer | undefined {
    const received = this.#received;
    this.#received = undefined;
    if (received) this.#parts.account.charge(Held.input, -received.length);
    return received;
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
    const received = this.#release();
    if (received) letGo(received);
    done();
  }

  evict(limited: keyof Limited, since: number): number {
    if (this.#real) return this.#real.evict(limited, since);
    const received = limited === 'bytes' && this.#release();
    if (!received) return 0;
    const { length } = received;
    letGo(received);
    this.#socket.destroy();
    return length;
  }

  evictStalled(since: number): number {
    return this.#real?.evictStalled(since) ?? 0;
  }
}
