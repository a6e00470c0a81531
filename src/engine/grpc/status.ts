import { Status } from 'nice-grpc-common';
import { CallersFault, isAbort, meantBy, show } from '../errors.ts';
import { fieldOverhead } from '../http2/hpack/dynamic_table.ts';
import { encodeHeaders } from '../http2/hpack/encoder.ts';
import { listSize } from '../http2/hpack/header_list.ts';
import { type LazyMetadata, mostListSize } from './metadata.ts';
import { percentEncode } from './percent_encoding.ts';

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

/** What those of a response may have beside its metadata: `grpc-encoding`, where it is the longest. */
const ownHeaders = listSize([...ok, 'grpc-encoding', 'identity']);

/** Who takes the response. */
interface Peer {
  /** In bytes as RFC 9113 section 6.5.2 counts them. */
  readonly maxHeaderListSize: number;
}

/**
 * Response headers: a header block. `encoding` is that of the messages, if they have one. Throws what
 * checkHeader() does.
 */
export function responseHeaders(header: LazyMetadata, peer: Peer, encoding?: string): Buffer {
  if (header.isEmpty && encoding === undefined) return plainHeaders;
  checkHeader(header, peer);
  const fields = [...ok];
  if (encoding !== undefined) fields.push('grpc-encoding', encoding);
  fields.push(...header.encode().fields);
  return encodeHeaders(fields);
}

/**
 * Throws a RangeError for metadata that is too large for response headers, a CallersFault if only the
 * peer's own limit says so, and a TypeError for what HTTP/2 cannot carry. grpc-go's servers end such a
 * call INTERNAL, too: to leave some of it out would say something else. What gRPC itself needs does not
 * count: without metadata it is sent whatever the peer's limit, which is advice.
 */
export function checkHeader(header: LazyMetadata, peer: Peer): void {
  const { size, isWhole } = header.encode();
  if (size === 0 && isWhole) return;
  if (!isWhole || ownHeaders + size > mostListSize) {
    throw new RangeError(`Cannot send response headers: at most ${mostListSize} bytes`);
  }
  const { maxHeaderListSize: most } = peer;
  if (ownHeaders + size > most) {
    throw new CallersFault(`Cannot send response headers: the client takes at most ${most} bytes`);
  }
}

/** The header block that ends a response. Throws a TypeError for what HTTP/2 cannot carry. */
export function trailers(status: CallStatus, trailer: LazyMetadata, peer: Peer): Buffer {
  if (status.code === Status.OK && trailer.isEmpty) return plainTrailers;
  return encodeHeaders(withStatus([], status, { trailer, peer }));
}

interface Ending {
  trailer: LazyMetadata;
  peer: Peer;
}

/** A response that is nothing but its end (PROTOCOL-HTTP2.md, Trailers-Only). Throws the same. */
export function trailersOnly(
  status: CallStatus,
  { trailer, peer, more = [] }: Ending & { more?: readonly string[] },
): Buffer {
  return encodeHeaders(withStatus([...ok, ...more], status, { trailer, peer }));
}

/** Of `grpc-message`, encoded. */
const longestMessage = 4096;
const messageName = 'grpc-message';

/**
 * Adds a status to the fields. What does not fit is left out: of the message the rest, of the metadata
 * those names whose values are too large. The code goes whatever the limit: nobody could do without.
 */
function withStatus(
  fields: string[],
  { code, details }: CallStatus,
  { trailer, peer }: Ending,
): string[] {
  fields.push('grpc-status', String(code));
  let room = Math.min(peer.maxHeaderListSize, mostListSize) - listSize(fields);
  if (details !== '') {
    const overhead = messageName.length + fieldOverhead;
    const message = percentEncode(details, Math.min(longestMessage, room - overhead));
    if (message !== '') {
      fields.push(messageName, message);
      room -= overhead + message.length;
    }
  }
  const metadata = trailer.encode();
  if (metadata.size <= room) fields.push(...metadata.fields);
  else fields.push(...fitting(metadata.fields, room));
  return fields;
}

/** Those names and values that fit, the first first, and of each name all values or none. */
function fitting(fields: readonly string[], most: number): string[] {
  const taken: string[] = [];
  let room = most;
  for (let at = 0, end = 0; at < fields.length; at = end) {
    while (end < fields.length && fields[end] === fields[at]) end += 2;
    const values = fields.slice(at, end);
    const size = listSize(values);
    if (size > room) continue;
    taken.push(...values);
    room -= size;
  }
  return taken;
}
