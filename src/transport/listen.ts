import { once } from 'node:events';
import { lstat, rm } from 'node:fs/promises';
import { connect, isIPv6 } from 'node:net';
import { dirname } from 'node:path';
import { getSystemErrorMap } from 'node:util';
import type { Address } from '../address.ts';
import type { ListenAddress, TlsFiles } from '../engine/index.ts';
import { messageOf } from '../message_of.ts';
import type { Engine } from './engine_types.ts';

/** The requested address and the bound port. */
export interface Bound {
  readonly address: string;
  readonly port: number | undefined;
}

/** An address that could not be listened on, with the reason and an optional hint. */
export class ListenError extends Error {
  /** The address as written. */
  readonly address: string;
  /** True if another server listens there. */
  readonly isInUse: boolean;

  constructor(address: string, cause: unknown, hint = '') {
    super(`Cannot listen on "${address}": ${reasonOf(cause)}${hint}`, { cause });
    this.name = 'ListenError';
    this.address = address;
    this.isInUse = errnoOf(cause) === 'EADDRINUSE';
  }
}

/**
 * Listens on every address, with TLS if there are files for it. If one fails, it closes all and throws a ListenError.
 */
export async function listenOn(
  engine: CanListen & Pick<Engine, 'forceShutdown'>,
  addresses: readonly Address[],
  tls?: TlsFiles,
): Promise<Bound[]> {
  const bound: Bound[] = [];
  const withTls: CanListen = { listen: (address) => engine.listen(address, tls) };
  for (const address of addresses) {
    try {
      bound.push({ address: address.text, port: await listen(withTls, address) });
    } catch (error) {
      engine.forceShutdown();
      throw new ListenError(address.text, error);
    }
  }
  return bound;
}

interface CanListen {
  listen(address: ListenAddress, tls?: TlsFiles): Promise<number | undefined>;
}

async function listen(engine: CanListen, address: Address): Promise<number | undefined> {
  if ('path' in address) return listenOnPath(engine, address.path);
  const { host, hosts, port } = address;
  if (host !== undefined) {
    return listenOnHosts(engine, { hosts: hosts ?? [withoutBrackets(host)], port });
  }
  try {
    return await engine.listen({ host: '::', port });
  } catch (error) {
    if (!hasNoIpv6(errnoOf(error))) throw error;
    return engine.listen({ host: '0.0.0.0', port });
  }
}

/** Listens on the same port of each host; an IPv6 address of localhost may not be configured. */
async function listenOnHosts(
  engine: CanListen,
  { hosts, port }: { hosts: readonly string[]; port: number },
): Promise<number | undefined> {
  let bound: number | undefined;
  let missing: unknown;
  for (const host of hosts) {
    try {
      bound = await engine.listen({ host, port: bound ?? port });
    } catch (error) {
      if (hosts.length === 1 || !isIPv6(host) || !hasNoIpv6(errnoOf(error))) throw error;
      missing = error;
    }
  }
  if (bound === undefined) throw missing;
  return bound;
}

function withoutBrackets(host: string): string {
  return host.replace(/^\[(.*)\]$/, '$1');
}

/** Replaces the socket that a killed server left behind, if nothing answers on it. */
async function listenOnPath(engine: CanListen, path: string): Promise<undefined> {
  try {
    await engine.listen({ path });
  } catch (error) {
    // Node reports EACCES if the folder does not exist.
    if (errnoOf(error) === 'EACCES' && (await isMissing(dirname(path)))) {
      throw new Error(`the folder "${dirname(path)}" does not exist`, { cause: error });
    }
    if (errnoOf(error) !== 'EADDRINUSE' || !(await isLeftBehind(path))) throw error;
    await rm(path);
    await engine.listen({ path });
  }
}

async function isMissing(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return false;
  } catch (error) {
    return errnoOf(error) === 'ENOENT';
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
  return known?.[1] ?? messageOf(error);
}

/** grpc-js has the errno of a failed bind in its message only. */
function errnoOf(error: unknown): string | undefined {
  return error instanceof Error ? /\bE[A-Z]{3,}\b/.exec(error.message)?.[0] : undefined;
}
