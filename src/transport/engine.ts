import {
  logVerbosity,
  ServerInterceptingCall,
  type ServerInterceptor,
  setLogVerbosity,
} from '@grpc/grpc-js';
import { createServer as createNiceServer, type Server } from 'nice-grpc';
import type { CallContext, ServerMiddleware, ServerMiddlewareCall } from 'nice-grpc-common';
import type { Timed } from '../context.ts';

/** What one connection may ask of the server. */
export interface Limits {
  /** Open calls on one connection. */
  maxConcurrentStreams: number;
  /** The largest request message, in bytes; a larger one ends RESOURCE_EXHAUSTED. */
  maxMessageSize: number;
}

/** A connection that has been silent this long is asked whether it is still there. */
const keepaliveTimeMs = 60_000;
const keepaliveTimeoutMs = 20_000;

/** A server that listens on nothing yet: nice-grpc's own, on grpc-js. */
export function createServer({ maxConcurrentStreams, maxMessageSize }: Limits): Server<Timed> {
  // What grpc-js would print, it also throws; standard error is for our own words.
  setLogVerbosity(logVerbosity.NONE);
  const options = {
    'grpc.max_concurrent_streams': maxConcurrentStreams,
    'grpc.max_receive_message_length': maxMessageSize,
    'grpc.keepalive_time_ms': keepaliveTimeMs,
    'grpc.keepalive_timeout_ms': keepaliveTimeoutMs,
    'grpc.enable_channelz': 0,
    interceptors: [fillGaps],
  };
  return createNiceServer(options).use(readDeadline);
}

/**
 * nice-grpc's context has no deadline, and metadata is the one way into it from an interceptor.
 * The key never holds what a caller sent: it is written or removed on every call.
 */
const deadlineKey = 'greeter-deadline-ms';

const fillGaps: ServerInterceptor = (method, call) =>
  new ServerInterceptingCall(call, {
    start(next) {
      next({
        onReceiveMetadata(metadata, pass) {
          const deadline = Number(call.getDeadline());
          if (Number.isFinite(deadline)) metadata.set(deadlineKey, String(deadline));
          else metadata.remove(deadlineKey);
          pass(metadata);
        },
        // node:http2 ends a stream that is reset before it says that it was reset. A turn later
        // grpc-js knows, and a handler does not take half a request stream for the whole.
        ...(method.requestStream && { onReceiveHalfClose: (pass) => void setImmediate(pass) }),
      });
    },
  });

const readDeadline: ServerMiddleware<Timed> = async function* readDeadline<Req, Res>(
  call: ServerMiddlewareCall<Req, Res, Timed>,
  context: CallContext,
) {
  const text = context.metadata.get(deadlineKey);
  if (text !== undefined) context.metadata.delete(deadlineKey);
  const deadline = text === undefined ? undefined : Number(text);
  return yield* call.next(call.request, { ...context, deadline });
};
