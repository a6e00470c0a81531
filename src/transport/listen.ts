import { once } from 'node:events';
import { lstat, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { getSystemErrorMap } from 'node:util';
import type { Server } from 'nice-grpc';
import { countOpenStreams } from './open_streams.ts';

/** A TCP port, on one interface or (host undefined) on all of them, or a unix socket. */
export type Address =
  | { readonly text: string; readonly host: string | undefined; readonly port: number }
  | { readonly text: string; readonly path: string };

/** A server that can listen once. */
export type Listener = Pick<Server, 'listen' | 'shutdown' | 'forceShutdown'>;

/** The servers of all addresses, as one. */
export interface Listening {
  /** What was asked for, and the port it came to. */
  readonly bound: readonly { address: string; port: number | undefined }[];
  /** How many calls are open. */
  openCalls(): number;
  /**
   * Takes no new connections and no new calls; resolves when every call has ended and every
   * connection is closed, or had the time for it.
   */
  shutdown(): Promise<void>;
  /** Drops every connection. */
  forceShutdown(): void;
}

/** Says which address could not be listened on, and why. */
export class ListenError extends Error {
  constructor(address: string, cause: unknown) {
    super(`Cannot listen on "${address}": ${reasonOf(cause)}`, { cause });
    this.name = 'ListenError';
  }
}

/** A peer that has no call open gets this long to close its connection: it may be long gone. */
const closingMs = 500;

/** Listens on every address, a server for each, or on none: then it throws a ListenError. */
export async function listenOn(
  addresses: readonly Address[],
  build: () => Listener,
): Promise<Listening> {
  const streams = countOpenStreams();
  const listeners: Listener[] = [];
  const bound: { address: string; port: number | undefined }[] = [];
  const forceShutdown = () => listeners.forEach((listener) => listener.forceShutdown());

  for (const address of addresses) {
    const listener = build();
    try {
      const port = await listen(listener, address);
      bound.push({ address: address.text, port: 'path' in address ? undefined : port });
      listeners.push(listener);
    } catch (error) {
      forceShutdown();
      streams[Symbol.dispose]();
      throw new ListenError(address.text, error);
    }
  }

  return {
    bound,
    openCalls: () => streams.count(),
    shutdown,
    forceShutdown,
  };

  async function shutdown(): Promise<void> {
    const closed = Promise.all(listeners.map((listener) => listener.shutdown()));
    await streams.none();
    const timeout = new AbortController();
    const enough = sleep(closingMs, undefined, { signal: timeout.signal }).catch(() => {});
    await Promise.race([closed, enough]);
    timeout.abort();
    forceShutdown();
    streams[Symbol.dispose]();
  }
}

async function listen(listener: Listener, address: Address): Promise<number> {
  if ('path' in address) return listenOnPath(listener, address.path);
  if (address.host !== undefined) return listener.listen(`${address.host}:${address.port}`);
  try {
    return await listener.listen(`[::]:${address.port}`);
  } catch (error) {
    if (!hasNoIpv6(errnoOf(error))) throw error;
    return listener.listen(`0.0.0.0:${address.port}`);
  }
}

/** A server that was killed leaves its socket behind, where no other can listen and nobody answers. */
async function listenOnPath(listener: Listener, path: string): Promise<number> {
  try {
    return await listener.listen(`unix:${path}`);
  } catch (error) {
    if (errnoOf(error) !== 'EADDRINUSE' || !(await isLeftBehind(path))) throw error;
    await rm(path);
    return listener.listen(`unix:${path}`);
  }
}

async function isLeftBehind(path: string): Promise<boolean> {
  if (!(await lstat(path)).isSocket()) return false;
  const socket = connect(path);
  try {
    await once(socket, 'connect');
    return false;
  } catch (error) {
    return errnoOf(error) === 'ECONNREFUSED';
  } finally {
    socket.destroy();
  }
}

function hasNoIpv6(errno: string | undefined): boolean {
  return errno === 'EAFNOSUPPORT' || errno === 'EADDRNOTAVAIL';
}

function reasonOf(error: unknown): string {
  const errno = errnoOf(error);
  const known = [...getSystemErrorMap().values()].find(([name]) => name === errno);
  return known?.[1] ?? (error instanceof Error ? error.message : String(error));
}

/** grpc-js keeps the errno of a failed bind in the message alone. */
function errnoOf(error: unknown): string | undefined {
  return error instanceof Error ? /\bE[A-Z]{3,}\b/.exec(error.message)?.[0] : undefined;
}
