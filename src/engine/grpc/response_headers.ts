import { Status } from 'nice-grpc-common';
import { withOwnMemory } from '../buffers.ts';
import { ExpectedError } from '../errors.ts';
import { encodeHeaders } from '../http2/hpack/encoder.ts';
import { fieldOverhead, listSize } from '../http2/hpack/header_list.ts';
import { type LazyMetadata, maxListSize } from './metadata.ts';
import { percentEncode } from './percent_encoding.ts';

/** The status of a call. */
export interface CallStatus {
  code: Status;
  details: string;
}

/** The fields that every response of a server has, beside its metadata. */
export interface OwnFields {
  readonly fields: readonly string[];
  /** The same as a header block. */
  readonly block: Buffer;
  /** The size of the list with the longest `grpc-encoding`. */
  readonly size: number;
}

/** Creates them from names and values, alternating, that a server adds to those of gRPC. */
export function createOwnFields(added: readonly string[] = []): OwnFields {
  const fields = [':status', '200', 'content-type', 'application/grpc', ...added];
  const size = listSize([...fields, 'grpc-encoding', 'identity']);
  return { fields, block: withOwnMemory(encodeHeaders(fields)), size };
}

/** Those of a server that adds none. */
export const plainFields = createOwnFields();

const plainTrailers = withOwnMemory(encodeHeaders(['grpc-status', '0']));

/** The receiver of the response. */
interface Peer {
  /** Bytes, counted as in RFC 9113 section 6.5.2. */
  readonly maxHeaderListSize: number;
}

interface Heading {
  peer: Peer;
  own?: OwnFields;
}

/** Encodes response headers as a header block. Throws what checkHeader() throws. */
export function responseHeaders(
  header: LazyMetadata,
  { peer, own = plainFields, encoding }: Heading & { encoding?: string | undefined },
): Buffer {
  if (header.isEmpty && encoding === undefined) return own.block;
  checkHeader(header, { peer, own });
  const { fields } = header.encode();
  if (encoding === undefined) return encodeHeaders(fields, own.block);
  return encodeHeaders(['grpc-encoding', encoding, ...fields], own.block);
}

/**
 * Throws a RangeError for metadata that is too large for response headers, an ExpectedError if only the peer's limit
 * is exceeded, and a TypeError for what HTTP/2 cannot carry. grpc-go's servers end such a call with INTERNAL, too:
 * dropping entries would change the meaning. Without metadata, headers are sent whatever the peer's limit, which is
 * advisory.
 */
export function checkHeader(header: LazyMetadata, { peer, own = plainFields }: Heading): void {
  const { size, isWhole } = header.encode();
  if (size === 0 && isWhole) return;
  const isTooLarge = !isWhole || own.size + size > Math.min(maxListSize, peer.maxHeaderListSize);
  if (isTooLarge && header.dropOptional()) return checkHeader(header, { peer, own });
  if (!isWhole || own.size + size > maxListSize) {
    throw new RangeError(`Cannot send response headers: at most ${maxListSize} bytes`);
  }
  const { maxHeaderListSize: most } = peer;
  if (own.size + size > most) {
    throw new ExpectedError(`Cannot send response headers: the client takes at most ${most} bytes`);
  }
}

/** Encodes trailers as a header block. Throws a TypeError for what HTTP/2 cannot carry. */
export function trailers(status: CallStatus, trailer: LazyMetadata, peer: Peer): Buffer {
  if (status.code === Status.OK && trailer.isEmpty) return plainTrailers;
  return encodeHeaders(withStatus([], status, { trailer, peer }));
}

interface Ending {
  trailer: LazyMetadata;
  peer: Peer;
}

/** Encodes a response without messages (PROTOCOL-HTTP2.md, Trailers-Only). Throws as trailers() does. */
export function trailersOnly(
  status: CallStatus,
  { trailer, peer, own = plainFields, more = [] }: Ending & Heading & { more?: readonly string[] },
): Buffer {
  return encodeHeaders(withStatus([...own.fields, ...more], status, { trailer, peer }));
}

/** The maximum of `grpc-message` in bytes, encoded. */
const longestMessage = 4096;
const messageName = 'grpc-message';

/**
 * Adds a status to the fields. If the list is too large, the message is truncated, and metadata with too large values
 * are dropped. The code is always sent.
 */
function withStatus(
  fields: string[],
  { code, details }: CallStatus,
  { trailer, peer }: Ending,
): string[] {
  fields.push('grpc-status', String(code));
  let left = Math.min(peer.maxHeaderListSize, maxListSize) - listSize(fields);
  if (details !== '') {
    const overhead = messageName.length + fieldOverhead;
    const message = percentEncode(details, Math.min(longestMessage, left - overhead));
    if (message !== '') {
      fields.push(messageName, message);
      left -= overhead + message.length;
    }
  }
  const metadata = trailer.encode();
  if (metadata.size <= left) fields.push(...metadata.fields);
  else fields.push(...fitting(metadata.fields, left));
  return fields;
}

/** The first entries that fit, with either all values of a name or none. */
function fitting(fields: readonly string[], maxSize: number): string[] {
  const taken: string[] = [];
  let left = maxSize;
  for (let at = 0, end = 0; at < fields.length; at = end) {
    while (end < fields.length && fields[end] === fields[at]) end += 2;
    const values = fields.slice(at, end);
    const size = listSize(values);
    if (size > left) continue;
    taken.push(...values);
    left -= size;
  }
  return taken;
}
