import { valueOf, type WebResponse } from '../engine/index.ts';
import { Code, ConnectError } from '@connectrpc/connect';
import type { ServerError } from 'nice-grpc-common';
import { ExpectedError } from '../engine/errors.ts';
import { Status } from '../gen/google/rpc/status.ts';
import { fieldsBut } from './fields.ts';
import { compressedFlag } from './request_body.ts';

/** Fields of gRPC and HTTP, in either direction, that are not metadata. */
const ownNames = new Set([
  ':status',
  'accept-encoding',
  'connection',
  'host',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);
const ownPrefix = /^(?:grpc-(?!retry-pushback-ms)|content-|connect-)/;

/** Returns the fields that are metadata. */
export function metadataOf(fields: readonly string[]): string[] {
  return fieldsBut(fields, (name) => ownNames.has(name) || ownPrefix.test(name));
}

/** Returns the fields of gRPC's status, and the metadata, of trailers. */
export function statusOf(trailer: readonly string[]): string[] {
  return fieldsBut(trailer, (name) => ownNames.has(name) || name.startsWith('content-'));
}

/**
 * The response to a call that has ended with an HTTP status instead of that of gRPC, which only an injected fault does;
 * undefined for others.
 */
export function httpResponseOf(trailer: readonly string[]): WebResponse | undefined {
  const status = valueOf(trailer, ':status');
  if (status === undefined) return undefined;
  return { status: Number(status), fields: ['content-type', 'text/plain', 'content-length', '0'] };
}

/** True for a response that ends without a status, which only an injected fault does. */
export function hasNoStatus(trailer: readonly string[]): boolean {
  return valueOf(trailer, 'grpc-status') === undefined;
}

/** True for a message that is marked as compressed, and is not, which only an injected fault sends. */
export function isMarked(framed: Uint8Array): boolean {
  return framed[0] === compressedFlag;
}

/** Returns the error that a call has ended with, with its details; undefined for OK. */
export function errorOf(trailer: readonly string[]): ConnectError | undefined {
  const code = Number(valueOf(trailer, 'grpc-status') ?? Code.Unknown);
  if (code === 0) return undefined;
  const message = decode(valueOf(trailer, 'grpc-message') ?? '');
  const error = new ConnectError(message, code in Code ? code : Code.Unknown);
  const details = valueOf(trailer, 'grpc-status-details-bin');
  if (details !== undefined) {
    const status = Status.decode(Buffer.from(details, 'base64'));
    error.details = status.details.map(({ typeUrl, value }) => ({
      type: typeUrl.slice(typeUrl.lastIndexOf('/') + 1),
      value: new Uint8Array(value),
    }));
  }
  return error;
}

/** Decodes a message that the engine has encoded, which is always well-formed. */
function decode(message: string): string {
  return decodeURIComponent(message);
}

/** Converts an error of the library, or of reading a request, to the status of a call. */
export function faultOf(error: unknown): ServerError {
  const { code: connectCode, rawMessage } = ConnectError.from(error);
  // Connect's codes have gRPC's numbers.
  const code: number = connectCode;
  // The message may quote the request, which must not be logged.
  return new ExpectedError(rawMessage, { code, reason: 'Cannot read the request' });
}
