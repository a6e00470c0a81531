import { ServerError, Status } from 'nice-grpc-common';
import type { RequestHeaders } from '../http2/request_headers.ts';
import { acceptedEncodings, type Encoding, isEncoding } from './compression.ts';
import { broken } from './message_reader.ts';
import { parseTimeout } from './timeout.ts';

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
  /** Fields that a response to a faulted call needs. */
  readonly faultFields: readonly string[];
}

/** Reads the request headers of a call. */
export function readHead({ path, authority, fields }: RequestHeaders): CallHead {
  const timeoutText = valueOf(fields, 'grpc-timeout');
  const timeout = timeoutText === undefined ? undefined : parseTimeout(timeoutText);
  const name = valueOf(fields, 'grpc-encoding') ?? 'identity';
  const encoding = isEncoding(name) ? name : undefined;
  const isUnknown = encoding === undefined && name !== 'identity';
  return {
    path,
    authority: authority || (valueOf(fields, 'host') ?? ''),
    fields,
    timeout,
    encoding,
    responseEncoding: encoding && accepts(fields, encoding) ? encoding : undefined,
    fault: isUnknown
      ? unknownEncoding(name)
      : timeoutText !== undefined && timeout === undefined
        ? broken(`the grpc-timeout "${timeoutText.slice(0, 20)}"`)
        : undefined,
    faultFields: isUnknown ? ['grpc-accept-encoding', acceptedEncodings] : [],
  };
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

/** The value of a field, the first if there are several. */
export function valueOf(fields: readonly string[], name: string): string | undefined {
  for (let at = 0; at < fields.length; at += 2) if (fields[at] === name) return fields[at + 1];
  return undefined;
}
