import { BlockList, isIP } from 'node:net';
import { domainToASCII } from 'node:url';

/** Variables by name. */
export type Env = Readonly<Record<string, string | undefined>>;

/** What is dialled, in parts. */
export interface HostPort {
  /** Without brackets. */
  host: string;
  port: string;
}

/** An HTTP proxy, which is asked to CONNECT. */
export interface Proxy {
  /** HOST:PORT. */
  address: string;
  /** `user:password`. */
  credentials: string | undefined;
}

/**
 * The proxy that the environment names for this host, if any. Which one is as in grpc-js, and HTTPS_PROXY
 * is read as well; for whom is as in grpc-go (golang.org/x/net/http/httpproxy): never for this machine or
 * what `no_proxy` lists.
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

/** Undefined for what is no URL of http, or a host with a port: there is no way to ask it. */
function parseProxy(text: string): Proxy | undefined {
  const url = URL.parse(/^[a-z0-9+.-]+:\/\//i.test(text) ? text : `http://${text}`);
  if (url?.protocol !== 'http:') return undefined;
  const { username, password, hostname, port } = url;
  const credentials = username === '' ? undefined : decoded(`${username}:${password}`);
  // URL leaves out the port that its scheme has, and gRPC has another.
  return { address: `${hostname}:${port || '80'}`, credentials };
}

/** A percent sign may be one. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** A proxy that a cluster sets for everybody cannot reach this machine. */
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

/** Whether one entry of `no_proxy` is for this host: `*`, an address, a CIDR, or a domain and all in it. */
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

/** In lower case; a name in another script as DNS has it. */
function ascii(name: string): string {
  return /[^ -~]/.test(name) ? domainToASCII(name) : name.toLowerCase();
}
