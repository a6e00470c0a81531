import type { ServerError } from 'nice-grpc-common';
import type { Protocol } from '../web.ts';
import { StreamError } from './errors.ts';

/** A request's header fields, checked. Requests with the same fields may be the same object. */
export interface RequestHeaders {
  readonly method: string;
  readonly path: string;
  readonly scheme: string;
  readonly authority: string;
  /** All fields but the pseudo-header fields: name, value, name, value, in their order. */
  readonly fields: readonly string[];
  /** What `content-length` says, if it is there. */
  readonly contentLength: number | undefined;
  /**
   * Where the header list is larger than we take, the bytes that it may have. Then the only field may be
   * `content-type`, what else is unknown is empty, and the request is to be refused.
   */
  readonly overLimit?: number;
  /** What is known of a call that has not come as gRPC: nothing of it stands in the fields. */
  readonly web?: {
    readonly protocol: Protocol;
    /** Milliseconds. */
    readonly timeout: number | undefined;
    /** Why it cannot be served. */
    readonly fault: ServerError | undefined;
  };
}

const connectionSpecific: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
]);

/**
 * Holds a request's fields against RFC 9113 sections 8.2 and 8.3. Throws a StreamError for a
 * malformed request (section 8.1.1).
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
  // Section 8.3.1; CONNECT, which has neither path nor scheme, is nothing that we serve.
  if (!method || !path || !scheme) throw malformed(streamId, 'a missing pseudo-header field');
  // Section 8.5: with them it is malformed.
  if (method === 'CONNECT') throw malformed(streamId, 'a path of CONNECT');
  const authority = pseudo.get(':authority') ?? '';
  return { method, path, scheme, authority, fields, contentLength };
}

/** What is known of a request whose header list is larger than `limit` bytes. Throws a StreamError, too. */
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

/** The fields of trailers, held against the same rules; none is a pseudo-header field (section 8.1). */
export function readTrailers(streamId: number, list: readonly string[]): readonly string[] {
  const fields = list.slice();
  readFields(streamId, fields);
  return fields;
}

/** A value without white space at its ends, where no field value may have it (RFC 9113 section 8.2.1). */
export function stripped(value: string): string {
  let from = 0;
  let to = value.length;
  while (from < to && isBlank(value.charCodeAt(from))) from++;
  while (from < to && isBlank(value.charCodeAt(to - 1))) to--;
  return to - from === value.length ? value : value.slice(from, to);
}

const pseudoNames: ReadonlySet<string> = new Set([':method', ':path', ':scheme', ':authority']);

/** The value of a field, the first if there are several. */
export function valueOf(fields: readonly string[], name: string): string | undefined {
  for (let at = 0; at < fields.length; at += 2) if (fields[at] === name) return fields[at + 1];
  return undefined;
}

function isPseudo(name: string | undefined): boolean {
  return name !== undefined && name.charCodeAt(0) === 0x3a;
}

/**
 * Checks the fields, and strips their values. White space at the ends of a value makes a request
 * malformed (section 8.2.1); but gRPC servers and proxies take it off and go on, and nothing can be
 * smuggled by that. Gives what `content-length` says.
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
    // Section 8.2.2; case does not matter (RFC 9110 section 10.1.4).
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

/** RFC 9113 section 8.2.1: no control, no upper case, no colon, nothing above 0x7e. */
function isFieldName(name: string): boolean {
  for (let i = 0; i < name.length; i++) {
    const c = name.charCodeAt(i);
    if (c <= 0x20 || c >= 0x7f || c === 0x3a || (c >= 0x41 && c <= 0x5a)) return false;
  }
  return name.length > 0;
}

/** RFC 9113 section 8.2.1: no NUL, CR or LF, with which other fields and requests are smuggled. */
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
  return new StreamError(streamId, 'PROTOCOL_ERROR', `Cannot take a request with ${what}`);
}
