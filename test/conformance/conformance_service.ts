import { setTimeout as sleep } from 'node:timers/promises';
import type { Call } from '../../src/context.ts';
import { fault, pack, requestInfo, setAll } from './echo.ts';
import type { Any } from './gen/google/protobuf/any.ts';
import {
  BidiStreamRequest,
  ClientStreamRequest,
  type ConformanceServiceImplementation,
  IdempotentUnaryRequest,
  ServerStreamRequest,
  type StreamResponseDefinition,
  UnaryRequest,
  type UnaryResponseDefinition,
} from './gen/connectrpc/conformance/v1/service.ts';

/** The service of the conformance suite: each request defines its response. */
export function createConformance(): ConformanceServiceImplementation<Call> {
  return {
    unary: (request, context) =>
      respond(request.responseDefinition, context, [pack('UnaryRequest', UnaryRequest, request)]),

    idempotentUnary: (request, context) =>
      respond(request.responseDefinition, context, [
        pack('IdempotentUnaryRequest', IdempotentUnaryRequest, request),
      ]),

    async clientStream(requests, context) {
      const seen: Any[] = [];
      let definition: UnaryResponseDefinition | undefined;
      for await (const request of requests) {
        if (seen.length === 0) definition = request.responseDefinition;
        seen.push(pack('ClientStreamRequest', ClientStreamRequest, request));
      }
      return respond(definition, context, seen);
    },

    async *serverStream(request, context) {
      const responses = createResponses(request.responseDefinition, context);
      const seen = [pack('ServerStreamRequest', ServerStreamRequest, request)];
      yield* responses.rest(seen);
    },

    async *bidiStream(requests, context) {
      const seen: Any[] = [];
      let responses: Responses | undefined;
      let isFullDuplex = false;
      for await (const request of requests) {
        if (!responses) {
          responses = createResponses(request.responseDefinition, context);
          isFullDuplex = request.fullDuplex;
        }
        seen.push(pack('BidiStreamRequest', BidiStreamRequest, request));
        if (!isFullDuplex) continue;
        if (responses.areSent) break;
        yield await responses.next(seen);
      }
      if (responses) yield* responses.rest(seen);
    },
  };
}

/** The single response, or the error. */
async function respond(
  definition: UnaryResponseDefinition | undefined,
  context: Call,
  requests: Any[],
) {
  const info = requestInfo(context, requests);
  if (definition) {
    setMetadata(definition, context);
    await sleep(definition.responseDelayMs, undefined, { signal: context.signal });
  }
  if (definition?.error) throw fault(definition.error, { context, info });
  return { payload: { requestInfo: info, data: definition?.responseData ?? Buffer.alloc(0) } };
}

type Responses = ReturnType<typeof createResponses>;

/** The responses of a stream, one by one. The headers are sent at once. */
function createResponses(definition: StreamResponseDefinition | undefined, context: Call) {
  const { responseData = [], responseDelayMs = 0, error } = definition ?? {};
  let sent = 0;
  if (definition) {
    setMetadata(definition, context);
    context.sendHeader();
  }
  return {
    next,
    rest,
    get areSent() {
      return sent >= responseData.length;
    },
  };

  /** Returns the request info, and clears it. */
  async function next(seen: Any[]) {
    const requests = seen.splice(0);
    const info = sent === 0 ? requestInfo(context, requests) : { requests };
    const payload = {
      data: responseData[sent] ?? Buffer.alloc(0),
      ...(requests.length > 0 && { requestInfo: info }),
    };
    sent++;
    await sleep(responseDelayMs, undefined, { signal: context.signal });
    return { payload };
  }

  /** The remaining responses, and then the error. */
  async function* rest(seen: Any[]) {
    while (sent < responseData.length) yield await next(seen);
    if (!error) return;
    const info = sent === 0 ? requestInfo(context, seen) : undefined;
    throw fault(error, { context, info });
  }
}

function setMetadata(
  { responseHeaders, responseTrailers }: UnaryResponseDefinition | StreamResponseDefinition,
  { header, trailer }: Call,
): void {
  setAll(header, responseHeaders);
  setAll(trailer, responseTrailers);
}
