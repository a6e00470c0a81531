import type { BinaryWriter } from '@bufbuild/protobuf/wire';
import { type Metadata, ServerError } from 'nice-grpc-common';
import type { Call } from '../../src/context.ts';
import type { Any } from './gen/google/protobuf/any.ts';
import {
  ConformancePayload_RequestInfo as RequestInfo,
  Error as ErrorDefinition,
  type Header,
} from './gen/connectrpc/conformance/v1/service.ts';

/** Packs a message of the suite's package into an Any. */
export function pack<T>(name: string, type: { encode(message: T): BinaryWriter }, message: T): Any {
  const value = Buffer.from(type.encode(message).finish());
  return { typeUrl: `type.googleapis.com/connectrpc.conformance.v1.${name}`, value };
}

/** The request info of a call. */
export function requestInfo({ metadata, deadline }: Call, requests: Any[]): RequestInfo {
  const requestHeaders = Array.from(metadata, ([name, values]) => ({
    name,
    value: values.map((value) => (typeof value === 'string' ? value : toBase64(value))),
  }));
  const timeoutMs =
    deadline === undefined ? undefined : Math.max(0, Math.floor(deadline - performance.now()));
  return { requestHeaders, timeoutMs, requests };
}

/** Sets headers or trailers. */
export function setAll(metadata: Metadata, headers: readonly Header[]): void {
  for (const { name, value: values } of headers) {
    for (const value of values) {
      if (!isBinary(name)) metadata.append(name, value);
      else metadata.append(name, Buffer.from(value, 'base64'));
    }
  }
}

/** The error that a request asks for; its details and the request info are sent as a trailer. */
export function fault(
  error: ErrorDefinition,
  { context, info }: { context: Call; info: RequestInfo | undefined },
): ServerError {
  const told = info ? [pack('ConformancePayload.RequestInfo', RequestInfo, info)] : [];
  const status = { ...error, details: [...error.details, ...told] };
  context.trailer.set('grpc-status-details-bin', ErrorDefinition.encode(status).finish());
  const code: number = error.code;
  return new ServerError(code, error.message ?? '');
}

function isBinary(name: string): name is `${string}-bin` {
  return name.toLowerCase().endsWith('-bin');
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64').replace(/=+$/, '');
}
