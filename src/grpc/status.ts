import { Status } from 'nice-grpc-common';
import { encodeHeaders } from '../http2/hpack/encoder.ts';
import { isAbort, meantBy, show } from '../thrown.ts';
import type { LazyMetadata } from './metadata.ts';

/** How a call ended. */
export interface CallStatus {
  code: Status;
  details: string;
}

/** The status of a call that ended well. */
export const fine: CallStatus = { code: Status.OK, details: '' };

/**
 * The status of what a call was ended with, which may be anything, and never throws. Like nice-grpc, it
 * warns of what no service should throw.
 */
export function statusOf(thrown: unknown, path: string): CallStatus {
  const meant = meantBy(thrown);
  if (meant) return meant;
  if (isAbort(thrown)) {
    return { code: Status.CANCELLED, details: 'The operation was cancelled' };
  }
  process.emitWarning(`${path}: an error that is no ServerError: ${show(thrown)}`);
  return { code: Status.UNKNOWN, details: 'Unknown server error occurred' };
}

const contentType = ['content-type', 'application/grpc'];
const ok = [':status', '200', ...contentType];
/** The header blocks that nearly every response has. */
const plainHeaders = encodeHeaders(ok);
const plainTrailers = encodeHeaders(['grpc-status', '0']);

/** Response headers: a header block. `encoding` is that of the messages, if they have one. */
export function responseHeaders(header: LazyMetadata, encoding?: string): Buffer {
  if (header.isEmpty && encoding === undefined) return plainHeaders;
  const fields = [...ok];
  if (encoding !== undefined) fields.push('grpc-encoding', encoding);
  header.appendTo(fields);
  return encodeHeaders(fields);
}

/** The header block that ends a response. */
export function trailers(status: CallStatus, trailer: LazyMetadata): Buffer {
  if (status.code === Status.OK && trailer.isEmpty) return plainTrailers;
  return encodeHeaders(statusFields(status, trailer));
}

/** A response that is nothing but its end (PROTOCOL-HTTP2.md, Trailers-Only). */
export function trailersOnly(
  status: CallStatus,
  { trailer, more = [] }: { trailer: LazyMetadata; more?: readonly string[] },
): Buffer {
  return encodeHeaders([...ok, ...more, ...statusFields(status, trailer)]);
}

function statusFields({ code, details }: CallStatus, trailer: LazyMetadata): string[] {
  const fields = ['grpc-status', String(code)];
  if (details !== '') fields.push('grpc-message', percentEncode(details));
  trailer.appendTo(fields);
  return fields;
}

/** PROTOCOL-HTTP2.md, Percent-Encoded: UTF-8, whose octets outside of space to tilde are escaped. */
function percentEncode(text: string): string {
  if (/^[ -$&-~]*$/.test(text)) return text;
  let encoded = '';
  for (const octet of Buffer.from(text.toWellFormed())) {
    const isPlain = octet >= 0x20 && octet <= 0x7e && octet !== 0x25;
    encoded += isPlain
      ? String.fromCharCode(octet)
      : `%${octet.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return encoded;
}
