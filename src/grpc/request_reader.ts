import type { Stream } from '../http2/stream.ts';
import { ManyRequests } from './many_requests.ts';
import type { MessageKind } from './message_decoder.ts';
import { OneRequest } from './one_request.ts';

/** The call, as the request's side of it sees it. */
export interface RequestOwner extends MessageKind {
  readonly stream: Stream;
  /** The handler can begin, with its request. */
  enter(request: unknown): void;
  /** The caller does not keep to the protocol. */
  fail(error: unknown): void;
}

/** The request's side of a call: makes messages of its body. */
export interface RequestReader {
  /** The headers are there. */
  begin(): void;
  data(bytes: Buffer): void;
  end(): void;
  /** Nothing of the request is of use any more; whoever still waits for it gets the error. */
  stop(error: Error): void;
  /** What a method of this kind gets when there is nothing to give it. */
  empty(): unknown;
}

/** For requests of one message, or of many. */
export function createRequestReader(call: RequestOwner): RequestReader {
  return call.method.requestStream ? new ManyRequests(call) : new OneRequest(call);
}
