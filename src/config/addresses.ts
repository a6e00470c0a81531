import { isIPv4 } from 'node:net';
import { resolve } from 'node:path';
import { messageOf } from '../message_of.ts';

/** Where to listen: a TCP port, on one interface or on all, or a unix socket. */
export type Address =
  | { readonly text: string; readonly host: string | undefined; readonly port: number }
  | { readonly text: string; readonly path: string };

/** Addresses with commas between them. */
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

/** Whether nobody can listen on both. What a name stands for is not looked up; port 0 is a new one each time. */
export function overlap(one: Address, other: Address): boolean {
  if ('path' in one || 'path' in other) {
    return 'path' in one && 'path' in other && resolve(one.path) === resolve(other.path);
  }
  if (one.port === 0 || one.port !== other.port) return false;
  const [a, b] = [hostOf(one), hostOf(other)];
  return a === b || takes(a, b) || takes(b, a);
}

/** All interfaces are those of IPv4 too; `0.0.0.0` is them alone. */
function takes(all: string, host: string): boolean {
  return all === '[::]' || (all === '0.0.0.0' && isIPv4(host));
}

/** Addresses are written in many ways, and a URL has one: `127.1` is 127.0.0.1. */
function hostOf({ host }: { host: string | undefined }): string {
  return host === undefined ? '[::]' : new URL(`http://${host}`).hostname;
}

/** Addresses, `off` for none, or `auto`: then the other settings say which. */
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
    /^(?<host>\[[0-9a-fA-F:.]+\]|[\w.-]*|\*):(?<port>\d{1,5})$/.exec(text)?.groups ?? {};
  if (host === '*') throw new RangeError(`must be :${port} for all interfaces`);
  if (host === undefined || Number(port) > 65_535 || !canBeHost(host)) {
    throw new RangeError('must be :PORT, HOST:PORT, [V6]:PORT or unix:PATH, with commas between');
  }
  return { text, host: host === '' ? undefined : host, port: Number(port) };
}

/** What sun_path holds (unix(7)) before the zero at its end. */
const longestPath = 107;

function unixPath(path: string): string {
  if (Buffer.byteLength(path) > longestPath || path.endsWith('/')) {
    throw new RangeError(`must be unix: and the path of a file, of at most ${longestPath} bytes`);
  }
  return path;
}

/** Names may be in somebody's DNS. A URL's host knows which addresses there cannot be: 256.0.0.1, say. */
function canBeHost(host: string): boolean {
  return host === '' || URL.canParse(`http://${host}`);
}
