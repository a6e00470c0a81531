import type { Socket } from 'node:net';
import type { Limited } from '../account.ts';
import type { Incident } from '../http2/incident.ts';
import type { Http1Server } from './http1.ts';
import type { ConnectionParts, OtherConnection, ServeOther } from './socket.ts';

/** Serves HTTP/1.1 connections with a server that is loaded when the first connection arrives. */
export function loadedByFirst(load: () => Promise<Http1Server>): ServeOther {
  let loading: Promise<Http1Server> | undefined;
  let loaded: Http1Server | undefined;

  return (socket, received, parts) => {
    if (loaded) return loaded.attach(socket, received, parts);
    loading ??= load().then((server) => (loaded = server));
    return new LateConnection(socket, received, { parts, loading });
  };
}

/** A connection that waits until its server is loaded. */
class LateConnection implements OtherConnection {
  readonly hasAnswered = true;
  readonly #socket: Socket;
  #real: OtherConnection | undefined;
  #isLeaving = false;

  constructor(
    socket: Socket,
    received: Buffer,
    { parts, loading }: { parts: ConnectionParts; loading: Promise<Http1Server> },
  ) {
    this.#socket = socket;
    const begin = (server: Http1Server) => {
      if (socket.destroyed) return;
      this.#real = server.attach(socket, received, parts);
      parts.account.holder = this.#real;
      if (this.#isLeaving) this.#real.shutdown();
    };
    loading.then(begin, (error) => {
      process.emitWarning(error instanceof Error ? error : 'Cannot load the HTTP/1.1 server');
      socket.destroy();
    });
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
    if (this.#real) this.#real.close(done);
    else done();
  }

  evict(limited: keyof Limited, since: number): number {
    return this.#real?.evict(limited, since) ?? 0;
  }

  evictStalled(since: number): number {
    return this.#real?.evictStalled(since) ?? 0;
  }
}
