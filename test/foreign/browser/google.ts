import { fromBinary, fromJson, type JsonObject, toBinary, toJson } from '@bufbuild/protobuf';
import { GrpcWebClientBase, MethodDescriptor, MethodType } from 'grpc-web';
import {
  type Call,
  detailsOf,
  initialName,
  methodOf,
  type Outcome,
  trailingName,
} from './calls.ts';

/** Creates a client on Google's grpc-web, with `text` for base64 or `binary`. */
export function createGoogleClient(format: 'text' | 'binary'): Call {
  return async (name, request, options) => {
    const method = methodOf(name);
    // protoc-gen-grpc-web would generate this from the contract, with classes of messages.
    const descriptor = new MethodDescriptor<object, object>(
      `/${name}`,
      method.methodKind === 'unary' ? MethodType.UNARY : MethodType.SERVER_STREAMING,
      Object,
      Object,
      (json: JsonObject) => toBinary(method.input, fromJson(method.input, json)),
      (bytes: Uint8Array) => toJson(method.output, fromBinary(method.output, bytes)),
    );
    const client = new GrpcWebClientBase({ format });
    const target = [`${options.url}/${name}`, request] as const;
    const outcome: Outcome = { messages: [], initial: null, trailing: null };
    const received = (message: object) => {
      outcome.messages.push(message);
      options.onMessage();
    };

    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const call =
      method.methodKind === 'unary'
        ? client.rpcCall(...target, options.headers, descriptor, (error: Error | null, message) => {
            // Without an error, it is null, whatever the type says.
            if (!error) received(message);
          })
        : client.serverStreaming(...target, options.headers, descriptor).on('data', received);
    call.on('metadata', (header) => {
      outcome.initial = header[initialName] ?? null;
    });
    call.on('status', ({ code, details, metadata = {} }) => {
      outcome.trailing = metadata[trailingName] ?? null;
      if (code !== 0) fail(code, details, metadata);
      end();
    });
    call.on('error', ({ code, message, metadata }) => {
      fail(code, message, metadata);
      end();
    });
    call.on('end', end);
    options.signal.addEventListener('abort', () => {
      call.cancel();
      end();
    });
    await ended;
    return outcome;

    function fail(code: number, message: string, metadata: Record<string, string>) {
      outcome.error = { code, message, details: detailsOf(metadata['grpc-status-details-bin']) };
    }
  };
}
