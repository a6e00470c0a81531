import { BlockList, isIP } from 'node:net';
import { domainToASCII } from 'node:url';

/** Environment variables by name. */
export type Env = Readonly<Record<string, string | undefined>>;

/** The parts of a target. */
export interface HostPort {
  /** Without brackets. */
  host: string;
  port: string;
}

/** An HTTP proxy that supports CONNECT. */
export interface Proxy {
  /** HOST:PORT. */
  address: string;
  /** `user:password`. */
  credentials: string | undefined;
}

/**
 * The proxy that the environment defines for a host, if any. The variables are those of grpc-js, plus HTTPS_PROXY;
 * the exceptions are those of grpc-go (golang.org/x/net/http/httpproxy): this machine, and what `no_proxy` lists.
 */
export function proxyFor(dialled: HostPort, env: Env): Proxy | undefined {
  const proxy = parseProxy(
    firstOf(env, ['grpc_proxy', 'https_proxy', 'HTTPS_PROXY', 'http_proxy']) ?? '',
  );
  const excluded = firstOf(env, ['no_grpc_proxy', 'no_proxy', 'NO_PROXY']) ?? '';
  const target = { port: dialled.port, host: ascii(dialled.host.replace(/%.*$/, '')) };
  if (!proxy || isThisMachine(target.host)) return undefined;
  return excluded.split(',').some((entry) => matches(entry.trim(), target)) ? undefined : proxy;
}

function firstOf(env: Env, names: readonly string[]): string | undefined {
  return names.map((name) => env[name]).find((value) => value !== undefined && value !== '');
}

/** Undefined for what is not an http URL or HOST:PORT. */
function parseProxy(text: string): Proxy | undefined {
  const url = URL.parse(/^[a-z0-9+.-]+:\/\//i.test(text) ? text : `http://${text}`);
  if (url?.protocol !== 'http:') return undefined;
  const { username, password, hostname, port } = url;
  const credentials = username === '' ? undefined : decoded(`${username}:${password}`);
  // URL drops the default port of its scheme, which is not gRPC's default.
  return { address: `${hostname}:${port || '80'}`, credentials };
}

/** The percent sign may be literal. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** A cluster-wide proxy cannot reach this machine's loopback. */
function isThisMachine(host: string): boolean {
  return /^localhost\.?$/.test(host) || isIn(host, thisMachine());
}

function thisMachine(): BlockList {
  const list = new BlockList();
  list.addSubnet('127.0.0.0', 8, 'ipv4');
  list.addAddress('::1', 'ipv6');
  list.addAddress('0.0.0.0', 'ipv4');
  list.addAddress('::', 'ipv6');
  return list;
}

/** True if an entry of `no_proxy` matches: `*`, an address, a CIDR, or a domain with its subdomains. */
function matches(entry: string, { host, port }: HostPort): boolean {
  if (entry === '' || entry === '*') return entry === '*';
  const { cidr, bits } = /^(?<cidr>[^/]+)\/(?<bits>\d+)$/.exec(entry)?.groups ?? {};
  if (isIP(cidr ?? '') > 0) return isIn(host, subnet(cidr ?? '', Number(bits)));

  const { name, itsPort } = splitPort(entry);
  if (itsPort && itsPort !== port) return false;
  if (isIP(name) > 0) return isIn(host, subnet(name, isIP(name) === 4 ? 32 : 128));
  const domain = ascii(name.replace(/^\*\./, '.'));
  if (domain === '' || isIP(host) > 0) return false;
  return domain.startsWith('.')
    ? host.endsWith(domain)
    : host === domain || host.endsWith(`.${domain}`);
}

function splitPort(entry: string): { name: string; itsPort: string | undefined } {
  const [, inBrackets, plain = entry, itsPort] =
    /^(?:\[(.*)\]|([^:]*))(?::(\d*))?$/.exec(entry) ?? [];
  return { name: inBrackets ?? plain, itsPort };
}

function isIn(host: string, list: BlockList): boolean {
  const family = isIP(host);
  return family > 0 && list.check(host, family === 4 ? 'ipv4' : 'ipv6');
}

function subnet(address: string, bits: number): BlockList {
  const list = new BlockList();
  const [family, all] = isIP(address) === 4 ? (['ipv4', 32] as const) : (['ipv6', 128] as const);
  if (bits <= all) list.addSubnet(address, bits, family);
  return list;
}

/** Lower case, with internationalized names in their DNS form. */
function ascii(name: string): string {
  return /[^ -~]/.test(name) ? domainToASCII(name) : name.toLowerCase();
}
