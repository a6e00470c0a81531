import { type EndReason, reasons } from './end_reason.ts';
import { checkGiven, iterate } from './innermost.ts';
import type { ResponseWriter } from './response_writer.ts';

/** The call that is answered. */
export interface Respondent {
  readonly response: ResponseWriter;
  /** Why the call is over, if it was ended from outside. */
  readonly cutBy: Error | undefined;
  /** Whether it has been decided how the call ends. */
  readonly isEnded: boolean;
  end(reason: EndReason): void;
}

/** Answers with what a handler's promise gives. */
export async function respondOnce(call: Respondent, handle: () => unknown): Promise<void> {
  try {
    const sending = respond(call, await handle());
    if (sending) await sending;
  } catch (error) {
    call.end(reasons.threw(error));
  }
}

/** Answers with what the middleware of a method with one response return. */
export async function respondThroughChain(
  call: Respondent,
  enter: () => AsyncGenerator,
): Promise<void> {
  try {
    const generator = enter();
    let result = await generator.next();
    while (!result.done) result = await generator.throw(new Error(yieldedMessage));
    const sending = respond(call, result.value);
    if (sending) await sending;
  } catch (error) {
    call.end(reasons.threw(error));
  }
}

/** Answers with everything that comes, as fast as the peer takes it. */
export async function respondAll(call: Respondent, responses: () => unknown): Promise<void> {
  const { response } = call;
  try {
    const iterator = iterate(responses());
    let result = await iterator.next();
    while (!result.done) {
      let goOn: boolean;
      try {
        const sending = response.send(result.value);
        // A peer may take its time, and need not have us keep the message twice.
        result = sent;
        goOn = typeof sending === 'boolean' ? sending : await sending;
      } catch (error) {
        return await leave(call, iterator, error);
      }
      if (!goOn && !call.cutBy) await response.room();
      if (call.cutBy) return await leave(call, iterator, call.cutBy);
      result = await iterator.next();
    }
    if (result.value !== undefined) throw new Error(returnedMessage);
    call.end(reasons.finished);
  } catch (error) {
    call.end(reasons.threw(error));
  }
}

/** Sends the response and the status; gives a promise only where the response takes its time. */
function respond(call: Respondent, message: unknown): Promise<void> | undefined {
  if (call.isEnded) return undefined;
  checkGiven(message);
  const sent = call.response.send(message);
  if (typeof sent !== 'boolean') {
    return sent.then(() => call.end(reasons.finished));
  }
  call.end(reasons.finished);
  return undefined;
}

/** Lets the handler and every middleware know why nobody takes another response. */
async function leave(
  call: Respondent,
  iterator: AsyncIterator<unknown>,
  error: unknown,
): Promise<void> {
  if (!iterator.throw) await iterator.return?.();
  else if ((await iterator.throw(error)).done === false) await iterator.return?.();
  call.end(reasons.threw(error));
}

const sent: IteratorYieldResult<undefined> = { done: false, value: undefined };
const yieldedMessage = 'Cannot yield a message from the middleware of a method with one response';
const returnedMessage = 'Cannot return a message from the middleware of a response stream';
