import {
  type DescMethod,
  type DescMethodStreaming,
  type DescMethodUnary,
  fromJson,
  toJson,
} from '@bufbuild/protobuf';
import { ConnectError, type Transport } from '@connectrpc/connect';
import {
  type Call,
  detailOf,
  type Failure,
  initialName,
  methodOf,
  type Outcome,
  trailingName,
} from './calls.ts';

/** Creates a client on a transport of connect-web, which is created for the URL of each call. */
export function createConnectWebClient(dial: (baseUrl: string) => Transport): Call {
  return async (name, request, { url, headers, onMessage, signal }) => {
    const transport = dial(url);
    const method = methodOf(name);
    const input = fromJson(method.input, request);
    const outcome: Outcome = { messages: [], initial: null, trailing: null };
    try {
      if (isUnary(method)) {
        const response = await transport.unary(method, signal, undefined, headers, input);
        outcome.messages.push(toJson(method.output, response.message));
        read(response.header, response.trailer);
      } else if (isStream(method)) {
        const inputs = [input];
        const response = await transport.stream(method, signal, undefined, headers, each(inputs));
        read(response.header, response.trailer);
        for await (const message of response.message) {
          outcome.messages.push(toJson(method.output, message));
          onMessage();
        }
        read(response.header, response.trailer);
      }
    } catch (thrown) {
      const error = ConnectError.from(thrown);
      outcome.error = failure(error);
      read(error.metadata, error.metadata);
    }
    return outcome;

    function read(header: Headers, trailer: Headers) {
      outcome.initial ??= header.get(initialName);
      outcome.trailing ??= trailer.get(trailingName);
    }
  };
}

function failure({ code, rawMessage, details }: ConnectError): Failure {
  return {
    code,
    message: rawMessage,
    details: details.map((detail) =>
      'type' in detail ? detailOf(detail.type, detail.value) : detail.desc.typeName,
    ),
  };
}

async function* each<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

function isUnary(method: DescMethod): method is DescMethodUnary {
  return method.methodKind === 'unary';
}

function isStream(method: DescMethod): method is DescMethodStreaming {
  return method.methodKind !== 'unary';
}
