import type { CallContext, ServerMiddleware, ServerMiddlewareCall } from 'nice-grpc-common';
import { mentionsAny } from '../engine/index.ts';
import { envoyNames, rpcBehavior } from './foreign.ts';
import { faultName, injectedName } from './names.ts';
import type { FaultOptions, Known } from './options.ts';

const names: ReadonlySet<string> = new Set([faultName, rpcBehavior, ...envoyNames]);

/** What the chain takes: the middleware, and the trailer that lists the injected faults. */
export function createFaults(options: FaultOptions) {
  return { middleware: injectFaults(options), injected: injectedName };
}

/**
 * Injects the faults that a call asks for in its metadata, or else those of the rules. Calls that are exempt from
 * limits, those of health, of its administration and of reflection, have none. The code is loaded with the first fault.
 */
function injectFaults(options: FaultOptions) {
  const hasRules = options.rules.length > 0;
  let loading: Promise<ReturnType<(typeof import('./inject.ts'))['createInjector']>> | undefined;

  const middleware: ServerMiddleware<{}, Known> = (call, context) => {
    const isAsked = hasRules || mentionsAny(context.metadata, names);
    if (!isAsked || context.isUnlimited) return call.next(call.request, context);
    return inject(call, context);
  };
  return middleware;

  async function* inject<Req, Res>(
    call: ServerMiddlewareCall<Req, Res, Known>,
    context: CallContext & Known,
  ) {
    loading ??= import('./inject.ts').then(({ createInjector }) => createInjector(options));
    return yield* (await loading)(call, context);
  }
}
