import type {
  CallContext,
  MethodDescriptor,
  ServerMiddleware,
  ServerMiddlewareCall,
} from 'nice-grpc-common';

/** Any middleware, and any way on from one: which fits which is checked where they are attached. */
// oxlint-disable-next-line typescript/no-explicit-any
export type AnyMiddleware = ServerMiddleware<any, any>;
export type Next = (request: unknown, context: CallContext) => AsyncGenerator;

/** A method as its middleware see it: nice-grpc's descriptor is theirs, with nothing of ours in it. */
export interface DescribedMethod extends Pick<
  MethodDescriptor,
  'requestStream' | 'responseStream'
> {
  /** One for all calls of the method. */
  readonly descriptor: MethodDescriptor;
}

/**
 * The way through the middleware of a method to `innermost`. Like nice-grpc, it gives each middleware
 * the request that the one before has passed on.
 */
export function throughChain(
  chain: readonly AnyMiddleware[],
  method: DescribedMethod,
  innermost: Next,
): Next {
  return chain.reduceRight(
    (next: Next, middleware) => through(middleware, method, next),
    innermost,
  );
}

function through(middleware: AnyMiddleware, about: DescribedMethod, next: Next): Next {
  return (request, context) => {
    const { descriptor: method, requestStream, responseStream } = about;
    const call = { method, requestStream, request, responseStream, next };
    // The kinds agree, as all four come from one method.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    return middleware(call as ServerMiddlewareCall<unknown, unknown>, context);
  };
}
