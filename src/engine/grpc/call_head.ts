import { ServerError, Status } from 'nice-grpc-common';
import { type RequestHeaders, valueOf } from '../http2/request_headers.ts';
import { acceptedEncodings, type Encoding, isEncoding } from './compression.ts';
import { broken } from '../errors.ts';
import { parseTimeout } from './timeout.ts';
import type { Protocol } from '../web.ts';

/** What a call's request headers say. Calls with the same headers may share it. */
export interface CallHead {
  readonly path: string;
  readonly authority: string;
  /** All fields, for metadata. */
  readonly fields: readonly string[];
  /** Milliseconds from the call's arrival. */
  readonly timeout: number | undefined;
  /** How the messages of the request are compressed, those that are. */
  readonly encoding: Encoding | undefined;
  /** The same for the response: what the request has, if the caller takes it, too. */
  readonly responseEncoding: Encoding | undefined;
  /** Why the call cannot be served. */
  readonly fault: ServerError | undefined;
  /** The fault is that the headers are too large: hardly any of them is here. */
  readonly isOversized: boolean;
  /** Fields that a response to a faulted call needs. */
  readonly faultFields: readonly string[];
  readonly protocol: Protocol;
}

/** Reads the request headers of a call. */
export function readHead(request: RequestHeaders): CallHead {
  const { path, authority, fields, overLimit, web } = request;
  if (web) return webHead(request, web);
  const timeoutText = valueOf(fields, 'grpc-timeout');
  const timeout = timeoutText === undefined ? undefined : parseTimeout(timeoutText);
  const name = valueOf(fields, 'grpc-encoding') ?? 'identity';
  const encoding = isEncoding(name) ? name : undefined;
  const isUnknown = encoding === undefined && name !== 'identity';
  let fault: ServerError | undefined;
  if (overLimit !== undefined) fault = oversized('headers', overLimit);
  else if (isUnknown) fault = unknownEncoding(name);
  else if (timeoutText !== undefined && timeout === undefined) {
    fault = broken(`the grpc-timeout "${timeoutText.slice(0, 20)}"`);
  }
  return {
    path: path || unseenPath,
    authority: authority || (valueOf(fields, 'host') ?? ''),
    fields,
    timeout,
    encoding,
    responseEncoding: encoding && accepts(fields, encoding) ? encoding : undefined,
    fault,
    isOversized: overLimit !== undefined,
    faultFields: isUnknown ? ['grpc-accept-encoding', acceptedEncodings] : [],
    protocol: 'grpc',
  };
}

/** Compression is for who translates it: nothing that passes here is compressed. */
function webHead(
  { path, authority, fields }: RequestHeaders,
  { protocol, timeout, fault }: NonNullable<RequestHeaders['web']>,
): CallHead {
  return {
    path,
    authority,
    fields,
    timeout,
    encoding: undefined,
    responseEncoding: undefined,
    fault,
    isOversized: false,
    faultFields: [],
    protocol,
  };
}

/** Of a call whose header list is too large, and whose path was not to be found in it. */
const unseenPath = '(unknown)';

/** RESOURCE_EXHAUSTED that names the bound, in bytes as RFC 9113 section 6.5.2 counts them. */
export function oversized(what: 'headers' | 'trailers', limit: number): ServerError {
  const message = `Cannot take request ${what} of more than ${limit} bytes`;
  return new ServerError(Status.RESOURCE_EXHAUSTED, message);
}

/** A compression that the caller takes, the usual one first. */
export function acceptedEncoding(fields: readonly string[]): Encoding | undefined {
  if (accepts(fields, 'gzip')) return 'gzip';
  return accepts(fields, 'deflate') ? 'deflate' : undefined;
}

function accepts(fields: readonly string[], encoding: Encoding): boolean {
  const names = valueOf(fields, 'grpc-accept-encoding')?.split(',') ?? [];
  return names.some((name) => name.trim() === encoding);
}

function unknownEncoding(name: string): ServerError {
  const message = `Cannot take messages compressed with "${name.slice(0, 20)}"`;
  return new ServerError(Status.UNIMPLEMENTED, message);
}
