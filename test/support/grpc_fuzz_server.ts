import { setImmediate } from 'node:timers/promises';
import { type CallContext, ServerError, Status } from 'nice-grpc-common';
import type { Call } from '../../src/context.ts';
import type { EchoServiceImplementation } from '../echo/gen/echo.ts';
import { createRandom, type Random } from '../hpack/random.ts';

/** An echo service whose methods behave in all valid and invalid ways, chosen by a seed. */
export function fuzzEcho(seed: () => number): Partial<EchoServiceImplementation<Call>> {
  return {
    async unary(_request, context) {
      const random = randomOf(context);
      await act(random, context);
      return reply(random);
    },
    async *serverStream(_request, context) {
      yield* replies(randomOf(context), context);
    },
    async clientStream(requests, context) {
      const random = randomOf(context);
      await act(random, context);
      for await (const _ of requests) if (random.oneIn(10)) break;
      return { requests: [reply(random)] };
    },
    async *bidi(requests, context) {
      const random = randomOf(context);
      for await (const _ of requests) {
        yield* replies(random, context);
        if (random.oneIn(10)) return;
      }
    },
  };

  function randomOf({ metadata }: CallContext): Random {
    return createRandom(seed() * 1000 + Number(metadata.get('x-request-id')));
  }
}

async function* replies(random: Random, context: CallContext) {
  for (let left = random.below(4); left > 0; left--) {
    yield reply(random);
    await act(random, context);
  }
}

function reply({ pick }: Random) {
  return { text: 'x'.repeat(pick([0, 1, 10, 2000, 70_000])) };
}

async function act({ below, oneIn }: Random, context: CallContext): Promise<void> {
  if (oneIn(5)) context.header.set('x-some', 'header');
  if (oneIn(5)) context.trailer.set('x-some-bin', Buffer.from('trailer'));
  if (oneIn(10)) context.sendHeader();
  switch (below(15)) {
    case 0:
      throw new ServerError(Status.NOT_FOUND, 'Cannot find \ud800 anything');
    case 1:
      throw new Error('a fault');
    case 2:
      return new Promise(() => {});
    case 3:
      return new Promise((_, reject) => {
        context.signal.addEventListener('abort', () => reject(context.signal.reason));
      });
    case 4:
    case 5:
      return setImmediate();
    default:
  }
}
