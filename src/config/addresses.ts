import { accessSync, constants, lstatSync, statSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import { networkInterfaces } from 'node:os';
import { dirname, resolve } from 'node:path';
import type { Address, TcpAddress } from '../address.ts';
import { messageOf } from '../message_of.ts';

/** Parses comma-separated addresses. */
export function addresses(text: string): readonly Address[] {
  const all = text.split(',').map((part) => address(part.trim()));
  for (const [index, one] of all.entries()) {
    const other = all.slice(0, index).find((before) => overlap(before, one));
    if (other?.text === one.text) throw new RangeError(`must not name "${one.text}" twice`);
    if (other)
      throw new RangeError(`must not name "${other.text}" and "${one.text}": they overlap`);
  }
  return all;
}

/**
 * True if the two addresses cannot be listened on together. An unresolved name only overlaps itself; port 0 is a new
 * port each time.
 */
export function overlap(one: Address, other: Address): boolean {
  if ('path' in one || 'path' in other) {
    return 'path' in one && 'path' in other && resolve(one.path) === resolve(other.path);
  }
  if (one.port === 0 || one.port !== other.port) return false;
  const others = hostsOf(other);
  return hostsOf(one).some((a) => others.some((b) => a === b || takes(a, b) || takes(b, a)));
}

/** An IPv6 wildcard includes IPv4; `0.0.0.0` is IPv4 only. */
function takes(all: string, host: string): boolean {
  return all === '[::]' || (all === '0.0.0.0' && isIPv4(host));
}

function hostsOf({ host = '[::]', hosts }: TcpAddress): readonly string[] {
  return (hosts?.map((each) => (each.includes(':') ? `[${each}]` : each)) ?? [host]).map(canonical);
}

/**
 * Normalizes an address as URLs do: `127.1` is 127.0.0.1. An IPv4-mapped address becomes IPv4, and only link-local
 * addresses keep their zone.
 */
function canonical(host: string): string {
  const { zone = '' } = zoned.exec(host)?.groups ?? {};
  const { hostname } = new URL(`http://${host.replace(zoned, '$<address>]')}`);
  if (linkLocal.test(hostname)) return hostname.replace(']', `${zone}]`);
  const { high, low } = mapped.exec(hostname)?.groups ?? {};
  if (high === undefined || low === undefined) return hostname;
  return new URL(`http://${Number.parseInt(high, 16) * 0x1_0000 + Number.parseInt(low, 16)}`)
    .hostname;
}

const mapped = /^\[::ffff:(?<high>[0-9a-f]{1,4}):(?<low>[0-9a-f]{1,4})\]$/;
const linkLocal = /^\[fe[89ab][0-9a-f]:/;

/** Parses addresses, `off` for none, or `auto`, which depends on other settings. */
export function addressesOrNone(text: string): readonly Address[] | 'auto' {
  if (text === 'auto') return text;
  if (text === 'off') return [];
  try {
    return addresses(text);
  } catch (error) {
    throw new RangeError(`${messageOf(error)}, or auto or off`);
  }
}

function address(text: string): Address {
  if (text.startsWith('unix:') && text.length > 5) return { text, path: unixPath(text.slice(5)) };
  const { host, port } =
    /^(?<host>\[[0-9a-fA-F:.]+(%[\w.-]+)?\]|[\w.-]*|\*):(?<port>\d{1,5})$/.exec(text)?.groups ?? {};
  if (host === '*') throw new RangeError(`must be :${port} for all interfaces`);
  if (host === undefined || Number(port) > 65_535 || !canBeHost(host)) {
    throw new RangeError('must be :PORT, HOST:PORT, [V6]:PORT or unix:PATH, with commas between');
  }
  checkZone(host);
  return { text, host: host === '' ? undefined : host, port: Number(port) };
}

/** A name may be in any DNS zone, but a URL parser rejects impossible addresses such as 256.0.0.1. */
function canBeHost(host: string): boolean {
  return host === '' || URL.canParse(`http://${host.replace(zoned, '$<address>]')}`);
}

/** An IPv6 address with a zone, which URLs do not support. */
const zoned = /^(?<address>.+)(?<zone>%.+)\]$/;

/** A link-local address needs the zone of its interface (RFC 4007). */
function checkZone(host: string): void {
  const { zone } = /%(?<zone>.+)\]$/.exec(host)?.groups ?? {};
  const interfaces = Object.keys(networkInterfaces());
  if (zone !== undefined && !interfaces.includes(zone)) {
    throw new RangeError(`must have an interface after the %: one of ${interfaces.join(', ')}`);
  }
  if (zone === undefined && linkLocal.test(host.toLowerCase())) {
    throw new RangeError(`must say the interface of "${host}": [fe80::1%eth0]:PORT`);
  }
}

/** The maximum length of sun_path (unix(7)), without the terminating zero. */
const longestPath = 107;

/** Validates a path for a unix socket; another server may listen on it. */
function unixPath(path: string): string {
  if (path.startsWith('@')) {
    throw new RangeError(
      `must be the path of a file, unix:./${path}: abstract sockets are not served`,
    );
  }
  if (Buffer.byteLength(path) > longestPath || path.endsWith('/')) {
    throw new RangeError(`must be unix: and the path of a file, of at most ${longestPath} bytes`);
  }
  const folder = dirname(path);
  const place = statSync(folder, { throwIfNoEntry: false });
  if (!place) throw new RangeError(`must be in a folder that exists: "${folder}" does not`);
  if (!place.isDirectory()) throw new RangeError(`must be in a folder, and "${folder}" is none`);
  if (!may(folder, constants.W_OK | constants.X_OK)) {
    throw new RangeError(`must be in a folder that can be written to: "${folder}" cannot`);
  }
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (there && !there.isSocket()) throw new RangeError(`must be free: "${path}" is not a socket`);
  if (there && !may(path, constants.W_OK)) {
    throw new RangeError(`must be free: "${path}" is the socket of another user`);
  }
  return path;
}

function may(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}
