import { checkAuthorities } from '../certificates.ts';
import { messageOf } from '../message_of.ts';
import { oneOf, type Parse, pemFile } from './parse.ts';

/** True if the variables enable tracing. */
export function isOn(env: Readonly<Record<string, string | undefined>>): boolean {
  const exporter = env['OTEL_TRACES_EXPORTER'];
  if (lower(env['OTEL_SDK_DISABLED']) === 'true' || lower(exporter) === 'none') return false;
  const endpoints = otlp('ENDPOINT').map((name) => env[name]);
  return [exporter, ...endpoints].some((text) => text !== undefined && text !== '');
}

/** The names of an exporter variable: the one for traces takes precedence. */
export function otlp(name: string): readonly string[] {
  return [`OTEL_EXPORTER_OTLP_TRACES_${name}`, `OTEL_EXPORTER_OTLP_${name}`];
}

/** The names of an attribute limit: the one for spans takes precedence. */
export function attributeLimit(name: string): readonly string[] {
  return [`OTEL_SPAN_ATTRIBUTE_${name}_LIMIT`, `OTEL_ATTRIBUTE_${name}_LIMIT`];
}

/** The names of the supported samplers. */
export const samplers = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
] as const;

/** One of the words, case-insensitively, as OpenTelemetry defines. */
export function word<const T extends string>(...words: readonly T[]): Parse<T> {
  const parse = oneOf(...words);
  return (text) => parse(lower(text));
}

/** The encoding of batches. */
export function protocol(text: string): 'http/protobuf' | 'http/json' {
  try {
    return word('http/protobuf', 'http/json')(text);
  } catch (error) {
    if (lower(text) !== 'grpc') throw error;
    throw new RangeError(`${messageOf(error)}: HTTP is sent, usually to port 4318`);
  }
}

/** Normalizes a word; undefined becomes empty. */
function lower(text = ''): string {
  return text.trim().toLowerCase();
}

/** A URL for POST requests. */
export function httpUrl(text: string): URL {
  const url = URL.parse(text);
  if (!url || !['http:', 'https:'].includes(url.protocol)) {
    throw new RangeError('must be a URL, http://HOST:PORT or https://HOST:PORT');
  }
  try {
    // Node's HTTP client does the same, at each batch.
    decodeURIComponent(url.username);
    decodeURIComponent(url.password);
  } catch {
    throw new RangeError('must have its user and password percent-encoded');
  }
  return url;
}

/**
 * A URL without user, password and query, for display. It may be invalid, so everything before the last `@` is
 * removed.
 */
export function shownUrl(text: string): string {
  return text
    .replace(/^(?<scheme>\s*https?:[/\\]*)?.*@/is, '$<scheme>hidden@')
    .replace(/[?#].*/s, '?hidden');
}

/** The traces URL of a collector's base URL. */
export function tracesUnder(text: string): string {
  const url = httpUrl(text);
  url.pathname = `${url.pathname.replace(/\/$/, '')}/v1/traces`;
  return url.href;
}

/** Parses comma-separated NAME=VALUE pairs with percent-encoded values. */
export function pairs(text: string): Readonly<Record<string, string>> {
  const all = text.split(',').filter((part) => part.trim() !== '');
  return Object.fromEntries(all.map(pair));
}

function pair(text: string): [string, string] {
  const { name = '', value = '' } = /^(?<name>[^=]+)=(?<value>.*)$/s.exec(text)?.groups ?? {};
  try {
    const decoded = decodeURIComponent(value.trim());
    if (name.trim() !== '') return [name.trim(), decoded];
  } catch {
    // The percent sign encodes nothing.
  }
  throw new RangeError('must be NAME=VALUE with commas between, values percent-encoded');
}

/** Pairs that are valid HTTP headers. */
export function headers(text: string): Readonly<Record<string, string>> {
  const all = pairs(text);
  if (!Object.entries(all).every(isHeader)) {
    throw new RangeError('must be names and values that HTTP headers can have');
  }
  const taken = Object.keys(all).find((name) => ofHttp.has(name.toLowerCase()));
  if (taken !== undefined) throw new RangeError(`must not have "${taken}", which HTTP itself sets`);
  return all;
}

/** Header fields that belong to the HTTP client (RFC 9110, RFC 9112). */
const ofHttp: ReadonlySet<string> = new Set([
  'connection',
  'content-encoding',
  'content-length',
  'content-type',
  'expect',
  'host',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

function isHeader([name, value]: [string, string]): boolean {
  return /^[\w!#$%&'*+.^`|~-]+$/.test(name) && /^[\t -~]*$/.test(value);
}

/** A file of trusted certificates; `off` for none. */
export function authorities(text: string): ReturnType<typeof pemFile> {
  const file = pemFile(text);
  if (file) checkAuthorities(file.pem);
  return file;
}

/** A number from 0 to 1. */
export function ratio(text: string): number {
  const value = /^\s*[\d.]+(e-?\d+)?\s*$/i.test(text) ? Number(text) : Number.NaN;
  if (!(value >= 0 && value <= 1)) throw new RangeError('must be a number from 0 to 1');
  return value;
}

/** Names of propagators. Only that of trace context matters, as the server makes no calls of its own. */
export function propagators(text: string): readonly string[] {
  const names = text.split(',').map(lower);
  if (!names.includes('tracecontext')) throw new RangeError('must include tracecontext');
  return names;
}
