import { messageOf } from '../message_of.ts';

/** Where to listen: a TCP port, on one interface or on all, or a unix socket. */
export type Address =
  | { readonly text: string; readonly host: string | undefined; readonly port: number }
  | { readonly text: string; readonly path: string };

/** Addresses with commas between them. */
export function addresses(text: string): readonly Address[] {
  const all = text.split(',').map((part) => address(part.trim()));
  const names = all.filter((one) => !('port' in one && one.port === 0)).map((one) => one.text);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new RangeError(`must not name "${twice}" twice`);
  return all;
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
