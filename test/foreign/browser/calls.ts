import {
  createFileRegistry,
  type DescMessage,
  type DescMethod,
  fromBinary,
  type JsonObject,
  type JsonValue,
  toJson,
} from '@bufbuild/protobuf';
import { base64Decode } from '@bufbuild/protobuf/wire';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { descriptorSet } from '../../../src/gen/descriptor_set.ts';

/** A client that calls `package.Service/Method` with a request in JSON, and does not throw. */
export type Call = (name: string, request: JsonObject, options: CallOptions) => Promise<Outcome>;

export interface CallOptions {
  /** The URL of the server. */
  url: string;
  headers: Record<string, string>;
  /** Called after each message. */
  onMessage: () => void;
  signal: AbortSignal;
}

/** What a page sees of a call. */
export interface Outcome {
  /** The response messages in JSON. */
  messages: unknown[];
  /** The response metadata that a test sends: x-grpc-test-echo-initial and x-grpc-test-echo-trailing-bin. */
  initial: string | null;
  trailing: string | null;
  error?: Failure;
}

export interface Failure {
  /** The number or the name of the status code. */
  code: number | string;
  message: string;
  /** In JSON, with their types. */
  details: JsonValue[];
}

export const initialName = 'x-grpc-test-echo-initial';
export const trailingName = 'x-grpc-test-echo-trailing-bin';

const registry = createFileRegistry(
  fromBinary(FileDescriptorSetSchema, base64Decode(descriptorSet)),
);

export function methodOf(name: string): DescMethod {
  const [service = '', method] = name.split('/');
  const found = registry.getService(service)?.methods.find((each) => each.name === method);
  if (!found) throw new Error(`Cannot find method ${name}`);
  return found;
}

/** Returns the details in a google.rpc.Status in base64, in JSON. */
export function detailsOf(status: string | undefined): JsonValue[] {
  if (status === undefined) return [];
  const message = messageOf('google.rpc.Status');
  const json = toJson(message, fromBinary(message, base64Decode(status)), { registry });
  const { details } = Object(json);
  return details;
}

/** Returns a detail in JSON, as `detailsOf` does. */
export function detailOf(type: string, bytes: Uint8Array): JsonValue {
  const message = messageOf(type);
  const json = toJson(message, fromBinary(message, bytes));
  return { '@type': `type.googleapis.com/${type}`, ...Object(json) };
}

function messageOf(name: string): DescMessage {
  const found = registry.getMessage(name);
  if (!found) throw new Error(`Cannot find message ${name}`);
  return found;
}
