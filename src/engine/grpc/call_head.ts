import { ServerError, Status } from 'nice-grpc-common';
import { type RequestHeaders, valueOf } from '../http2/request_headers.ts';
import { acceptedEncodings, type Encoding, isEncoding } from './compression.ts';
import { malformed } from '../errors.ts';
import { parseTimeout } from './timeout.ts';
import type { Protocol } from '../web.ts';

/** The parsed request headers of a call. Calls with the same headers may share one object. */
export interface CallHead {
  readonly path: string;
  readonly authority: string;
  /** All header fields, for metadata. */
  readonly fields: readonly string[];
  /** The timeout in milliseconds, from the arrival of the call. */
  readonly timeout: number | undefined;
  /** The `grpc-encoding` of the request messages. */
  readonly encoding: Encoding | undefined;
  /** The encoding of the responses: that of the request, if the caller accepts it. */
  readonly responseEncoding: Encoding | undefined;
  /** The reason why the call cannot be served, if any. */
  readonly fault: ServerError | undefined;
  /** True if the header list is too large; then hardly any of its fields are known. */
  readonly isOversized: boolean;
  /** Header fields that the response to a faulty call needs. */
  readonly faultFields: readonly string[];
  readonly protocol: Protocol;
  /** True if the call was translated from JSON. */
  readonly isJson: boolean;
}

/** Parses the request headers of a call. */
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
    fault = malformed(`the grpc-timeout "${timeoutText.slice(0, 20)}"`);
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
    isJson: false,
  };
}

/** The head of a call that was translated from another protocol, whose messages are not compressed here. */
function webHead(
  { path, authority, fields }: RequestHeaders,
  { protocol, isJson = false, timeout, fault }: NonNullable<RequestHeaders['web']>,
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
    isJson,
  };
}

/** Stands for the path of a call whose oversized header list did not show it. */
const unseenPath = '(unknown)';

/** RESOURCE_EXHAUSTED; the message names the limit in bytes, counted as in RFC 9113 section 6.5.2. */
export function oversized(what: 'headers' | 'trailers', limit: number): ServerError {
  const message = `Cannot accept request ${what} of more than ${limit} bytes`;
  return new ServerError(Status.RESOURCE_EXHAUSTED, message);
}

/** The preferred encoding among those that the caller accepts. */
export function acceptedEncoding(fields: readonly string[]): Encoding | undefined {
  if (accepts(fields, 'gzip')) return 'gzip';
  return accepts(fields, 'deflate') ? 'deflate' : undefined;
}

function accepts(fields: readonly string[], encoding: Encoding): boolean {
  const names = valueOf(fields, 'grpc-accept-encoding')?.split(',') ?? [];
  return names.some((name) => name.trim() === encoding);
}

function unknownEncoding(name: string): ServerError {
  const message = `Cannot accept messages compressed with "${name.slice(0, 20)}"`;
  return new ServerError(Status.UNIMPLEMENTED, message);
}
