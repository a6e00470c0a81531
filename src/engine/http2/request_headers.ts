import type { ServerError } from 'nice-grpc-common';
import type { Protocol } from '../web.ts';
import { StreamError } from './errors.ts';

/** The validated header fields of a request. Requests with equal fields may share one object. */
export interface RequestHeaders {
  readonly method: string;
  readonly path: string;
  readonly scheme: string;
  readonly authority: string;
  /** The fields without pseudo-header fields: name, value, name, value, in order. */
  readonly fields: readonly string[];
  /** The value of `content-length`, if present. */
  readonly contentLength: number | undefined;
  /**
   * The limit in bytes, if the header list exceeds it. Then only `content-type` is known, other properties may be
   * empty, and the request must be refused.
   */
  readonly overLimit?: number;
  /** Set for a call that was translated from another protocol; the fields have only its metadata. */
  readonly web?: {
    readonly protocol: Protocol;
    /** True if the peer sends and gets JSON. */
    readonly isJson?: boolean | undefined;
    /** The timeout in milliseconds. */
    readonly timeout: number | undefined;
    /** The reason why the call cannot be served, if any. */
    readonly fault: ServerError | undefined;
  };
}

/** Fields that HTTP/2 does not have (RFC 9113 section 8.2.2). */
export const connectionSpecific: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
]);

/**
 * Validates the fields of a request against RFC 9113 sections 8.2 and 8.3. Throws a StreamError for a malformed
 * request (section 8.1.1).
 */
export function readRequestHeaders(streamId: number, list: readonly string[]): RequestHeaders {
  const pseudo = new Map<string, string>();
  let at = 0;
  for (; at < list.length && isPseudo(list[at]); at += 2) {
    const name = list[at] ?? '';
    const value = list[at + 1] ?? '';
    if (!pseudoNames.has(name) || pseudo.has(name)) throw malformed(streamId, `"${name}"`);
    if (!isFieldValue(value)) throw malformed(streamId, `the value of "${name}"`);
    pseudo.set(name, value);
  }
  const fields = list.slice(at);
  const contentLength = readFields(streamId, fields);

  const method = pseudo.get(':method');
  const path = pseudo.get(':path');
  const scheme = pseudo.get(':scheme');
  // Section 8.3.1; CONNECT, which has neither, is not supported.
  if (!method || !path || !scheme) throw malformed(streamId, 'a missing pseudo-header field');
  // Section 8.5: CONNECT with them is malformed.
  if (method === 'CONNECT') throw malformed(streamId, 'a path of CONNECT');
  const authority = pseudo.get(':authority') ?? '';
  return { method, path, scheme, authority, fields, contentLength };
}

/** The known headers of a request whose header list exceeds `limit` bytes. Throws a StreamError as well. */
export function readOversized(
  streamId: number,
  list: readonly string[],
  limit: number,
): RequestHeaders {
  for (let at = 0; at < list.length; at += 2) {
    if (!isFieldValue(list[at + 1] ?? '')) throw malformed(streamId, `the value of "${list[at]}"`);
  }
  const type = valueOf(list, 'content-type');
  return {
    method: valueOf(list, ':method') ?? '',
    path: valueOf(list, ':path') ?? '',
    scheme: '',
    authority: '',
    fields: type === undefined ? [] : ['content-type', stripped(type)],
    contentLength: undefined,
    overLimit: limit,
  };
}

/** Validates the fields of trailers, which have no pseudo-header fields (section 8.1). */
export function readTrailers(streamId: number, list: readonly string[]): readonly string[] {
  const fields = list.slice();
  readFields(streamId, fields);
  return fields;
}

/** Strips leading and trailing white space, which field values must not have (RFC 9113 section 8.2.1). */
export function stripped(value: string): string {
  let from = 0;
  let to = value.length;
  while (from < to && isBlank(value.charCodeAt(from))) from++;
  while (from < to && isBlank(value.charCodeAt(to - 1))) to--;
  return to - from === value.length ? value : value.slice(from, to);
}

const pseudoNames: ReadonlySet<string> = new Set([':method', ':path', ':scheme', ':authority']);

/** The first value of a field; `fields` are names and values, alternating. */
export function valueOf(fields: readonly string[], name: string): string | undefined {
  for (let at = 0; at < fields.length; at += 2) if (fields[at] === name) return fields[at + 1];
  return undefined;
}

function isPseudo(name: string | undefined): boolean {
  return name !== undefined && name.charCodeAt(0) === 0x3a;
}

/**
 * Validates the fields and strips their values. White space around a value makes a request malformed (section 8.2.1),
 * but other gRPC servers and proxies strip it, and it cannot be used for smuggling. Returns the `content-length`.
 */
function readFields(streamId: number, fields: string[]): number | undefined {
  let contentLength: number | undefined;
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at] ?? '';
    const sent = fields[at + 1] ?? '';
    const value = stripped(sent);
    if (!isFieldName(name) || connectionSpecific.has(name)) throw malformed(streamId, `"${name}"`);
    if (!isFieldValue(sent)) throw malformed(streamId, `the value of "${name}"`);
    if (value.length !== sent.length) fields[at + 1] = value;
    // Section 8.2.2; the value is case-insensitive (RFC 9110 section 10.1.4).
    if (name === 'te' && value !== 'trailers' && value.toLowerCase() !== 'trailers') {
      throw malformed(streamId, `"te: ${value}"`);
    }
    if (name === 'content-length') {
      if (!/^\d{1,15}$/.test(value) || contentLength !== undefined) {
        throw malformed(streamId, `"content-length: ${value}"`);
      }
      contentLength = Number(value);
    }
  }
  return contentLength;
}

/** RFC 9113 section 8.2.1: no control characters, upper case, colon, or octets above 0x7e. */
function isFieldName(name: string): boolean {
  for (let i = 0; i < name.length; i++) {
    const c = name.charCodeAt(i);
    if (c <= 0x20 || c >= 0x7f || c === 0x3a || (c >= 0x41 && c <= 0x5a)) return false;
  }
  return name.length > 0;
}

/** RFC 9113 section 8.2.1: no NUL, CR or LF, which allow request smuggling. */
function isFieldValue(value: string): boolean {
  for (let i = 0; i < value.length; i++) {
    const c = value.charCodeAt(i);
    if (c === 0 || c === 0x0a || c === 0x0d) return false;
  }
  return true;
}

function isBlank(c: number): boolean {
  return c === 0x20 || c === 0x09;
}

function malformed(streamId: number, what: string): StreamError {
  return new StreamError(streamId, 'PROTOCOL_ERROR', `Cannot accept a request with ${what}`);
}
