import { setImmediate } from 'node:timers/promises';
import { delay, forever } from 'abort-controller-x';
import { type CallContext, ServerError, type ServerMiddlewareCall, Status } from 'nice-grpc-common';
import { ErrorCode, type Translated } from '../engine/index.ts';
import { ExpectedError } from '../engine/errors.ts';
import { CallError } from '../errors.ts';
import { retryable, type RichError } from '../rich_error.ts';
import { applicable, faultsAskedBy } from './choose.ts';
import { distorted } from './distort.ts';
import type { Fault, FaultKind, Range } from './fault.ts';
import { statusOfHttp } from './foreign.ts';
import type { FaultOptions, Known } from './options.ts';
import { injectedName, overflowName } from './names.ts';

/** Creates the middleware behind injectFaults(). */
export function createInjector({
  rules,
  max,
  counts,
  hostname,
  random = Math.random,
}: FaultOptions) {
  /** The number of calls with faults, by connection. */
  const callsOf = new WeakMap<object, number>();

  return async function* inject<Req, Res>(
    call: ServerMiddlewareCall<Req, Res, Known>,
    context: CallContext & Known,
  ) {
    const { metadata } = context;
    const asked = faultsAskedBy(metadata, hostname) ?? rules;
    const chosen = applicable(asked, { metadata, hostname, nth: nextOn(context), random });
    if (chosen.length === 0) return yield* call.next(call.request, context);
    if (counts.active >= max) {
      counts.overflow++;
      context.trailer.set(overflowName, '1');
      return yield* call.next(call.request, context);
    }
    const faults = new Faults(chosen, call, { context, counts, random });
    counts.active++;
    const end = () => void counts.active--;
    context.whenSent?.(end);
    try {
      await faults.before(0);
      faults.begin();
      const responses = faults.ofService(call.next(call.request, context));
      return yield* call.responseStream ? faults.between(responses) : responses;
    } finally {
      if (!context.whenSent) end();
    }
  };

  function nextOn({ connection }: Known): number {
    const key = connection ?? callsOf;
    const number = (callsOf.get(key) ?? 0) + 1;
    callsOf.set(key, number);
    return number;
  }
}

interface FaultsDeps {
  context: CallContext & Known;
  counts: FaultOptions['counts'];
  random: () => number;
}

type Kind = Pick<ServerMiddlewareCall<unknown, unknown>, 'requestStream' | 'responseStream'>;

/** The faults of one call. */
class Faults {
  readonly #all: readonly Fault[];
  readonly #isStream: boolean;
  readonly #context: CallContext & Known;
  readonly #counts: FaultOptions['counts'];
  readonly #random: () => number;
  readonly #injected = new Set<FaultKind>();

  constructor(
    all: readonly Fault[],
    { requestStream, responseStream }: Kind,
    { context, counts, random }: FaultsDeps,
  ) {
    this.#all = all;
    this.#isStream = responseStream;
    this.#context = context;
    this.#counts = counts;
    this.#random = random;
    if (!context.faults) {
      const other = all.find((fault) => !worksEverywhere(fault, responseStream));
      if (other) throw cannot(onlyOurs(other));
    } else if (context.faults.translated) {
      checkTranslated(all, context.faults.translated);
      const isUnary = !requestStream && !responseStream;
      if (context.protocol === 'connect' && isUnary) checkConnectUnary(all);
    }
  }

  /** Injects what is due once so many messages have been sent. */
  async before(message: number): Promise<void> {
    for (const fault of this.#all) {
      if (!('after' in fault) || fault.after !== message) continue;
      if (message > 0) await sentByNow();
      await this.#inject(fault);
    }
  }

  /** Changes the response from now on. */
  begin(): void {
    const { faults, header, signal } = this.#context;
    if (!faults) return;
    const message = distorted(this.#all, {
      signal,
      note: (kind) => this.#note(kind),
      // The messages of a stream pass between().
      sent: (count) => (this.#isStream ? undefined : this.#sentOnly(count)),
    });
    const due = this.#all.filter((fault) => this.#isStream || isOfOneMessage(fault));
    const kinds = new Set(due.map(({ kind }) => kind));
    faults.ofResponse = {
      message,
      encoding: kinds.has('corrupt-compression') ? 'gzip' : undefined,
    };
    if (kinds.size > 0) header.set(injectedName, [...kinds].join(','));
  }

  /** Injects what is due between the messages of a stream. */
  async *between<Res>(responses: AsyncGenerator<Res, Res | void, undefined>) {
    const pause = this.#all.find((fault) => fault.kind === 'pause');
    let count = 0;
    for await (const response of responses) {
      if (count > 0 && pause) {
        this.#note('pause');
        await delay(this.#context.signal, this.#within(pause.ms));
      }
      yield response;
      this.#endIfTruncated();
      await this.before(++count);
    }
    this.#endIfUnended();
  }

  /** A service that fails does not end the call with its status, either, if it is to end without one. */
  async *ofService<Res>(responses: AsyncGenerator<Res, Res | void, undefined>) {
    try {
      return yield* responses;
    } catch (error) {
      if (!this.#context.signal.aborted) this.#endIfUnended();
      throw error;
    }
  }

  /** The only message has been sent. */
  async #sentOnly(count: number): Promise<void> {
    this.#endIfTruncated();
    await this.before(count);
    this.#endIfUnended();
  }

  #endIfTruncated(): void {
    if (this.#injected.has('truncate')) throw this.#withoutStatus();
  }

  #endIfUnended(): void {
    if (!this.#all.some(endsWithoutStatus)) return;
    this.#note('no-status');
    throw this.#withoutStatus();
  }

  #withoutStatus(): ServerError {
    return this.#broken(Status.UNKNOWN, (error) => this.#context.faults?.endResponse(error));
  }

  async #inject(fault: Fault): Promise<void> {
    const { faults, signal, abortOnTerminate } = this.#context;
    if (!isOfMessages(fault)) this.#note(fault.kind);
    switch (fault.kind) {
      case 'delay':
        return delay(signal, this.#within(fault.ms));
      case 'goaway':
        return faults?.retire();
      case 'hang':
        abortOnTerminate();
        return forever(signal);
      case 'status':
        throw this.#statusOf(fault);
      case 'reset':
        throw this.#broken(statusOfReset(fault.code), (error) => faults?.reset(fault.code, error));
      case 'refuse': {
        const { REFUSED_STREAM } = ErrorCode;
        throw this.#broken(Status.UNAVAILABLE, (error) => faults?.reset(REFUSED_STREAM, error));
      }
      case 'drop':
        throw this.#broken(Status.UNAVAILABLE, (error) => faults?.drop(error));
      case 'http': {
        const code = statusOfHttp(fault.status);
        throw this.#broken(code, (error) => faults?.respond(fault.status, error));
      }
      case 'no-status':
        throw this.#withoutStatus();
      case 'pause':
      case 'rate':
      case 'truncate':
      case 'garbage':
      case 'corrupt-compression':
      case 'big':
        return;
    }
  }

  #statusOf({
    code,
    message = 'Injected fault',
    ...delays
  }: Fault & { kind: 'status' }): RichError {
    const error = retryable({ code, message }, delays);
    // Not every status passes the middleware that would do it.
    error.tell(this.#context.trailer);
    return error;
  }

  /** Ends the stream, and returns the error that the call ends with. */
  #broken(code: Status, end: (error: ServerError) => void): ServerError {
    const error = new ExpectedError('Injected fault', { code });
    end(error);
    return error;
  }

  #within([least, greatest]: Range): number {
    return least + (greatest - least) * this.#random();
  }

  #note(kind: FaultKind): void {
    if (this.#injected.has(kind)) return;
    this.#injected.add(kind);
    const { injected } = this.#counts;
    injected.set(kind, (injected.get(kind) ?? 0) + 1);
    this.#context.trailer.set(injectedName, [...this.#injected].join(','));
  }
}

/** Resolves when the output of this turn has been written: a reset would drop it. */
async function sentByNow(): Promise<void> {
  await setImmediate();
  await setImmediate();
}

/** True for faults of messages, which distorted() injects. */
function isOfMessages({ kind }: Fault): boolean {
  return ['truncate', 'garbage', 'corrupt-compression', 'big'].includes(kind);
}

/** True for a fault that can be injected into a response of one message. */
function isOfOneMessage(fault: Fault): boolean {
  if (fault.kind === 'pause') return false;
  if (!('after' in fault) || fault.after === undefined) return true;
  return fault.after <= (isOfMessages(fault) ? 0 : 1);
}

/** True if the call ends without a status where it would end with one. */
function endsWithoutStatus(fault: Fault): boolean {
  return fault.kind === 'no-status' && fault.after === undefined;
}

/** True for faults that need no engine of our own. */
function worksEverywhere(fault: Fault, isStream: boolean): boolean {
  if (fault.kind !== 'status' && fault.kind !== 'delay') return false;
  return isStream || fault.after === 0;
}

/** Says why a fault cannot be injected on the other engine. */
function onlyOurs({ kind }: Fault): string {
  const isLater = kind === 'status' || kind === 'delay';
  return isLater
    ? `${kind} after the only message on the engine grpc-js: it sends that with its status`
    : `${kind} on the engine grpc-js: it has status and delay only`;
}

/** Throws UNIMPLEMENTED for faults that a translated call cannot show. */
function checkTranslated(faults: readonly Fault[], { isJson, maxMessageSize }: Translated): void {
  const sizes = faults.map((fault) => (fault.kind === 'big' ? fault.bytes : 0));
  const size = sizes.reduce((sum, each) => sum + each, 0);
  if (size > 0 && isJson) throw cannot('big in JSON: it has no unknown fields');
  if (size > maxMessageSize) {
    throw cannot(`big of more than ${maxMessageSize} bytes over the web: a message is sent whole`);
  }
}

/** Throws UNIMPLEMENTED for faults of the status, which such a response does not have. */
function checkConnectUnary(faults: readonly Fault[]): void {
  if (faults.every(({ kind }) => kind !== 'no-status')) return;
  throw cannot("no-status over Connect's unary protocol: its successful responses have no status");
}

function cannot(inject: string): CallError {
  return new CallError(Status.UNIMPLEMENTED, `Cannot inject ${inject}`);
}

/** PROTOCOL-HTTP2.md, HTTP2 Transport Mapping. */
function statusOfReset(code: number): Status {
  switch (code) {
    case ErrorCode.REFUSED_STREAM:
      return Status.UNAVAILABLE;
    case ErrorCode.CANCEL:
      return Status.CANCELLED;
    case ErrorCode.ENHANCE_YOUR_CALM:
      return Status.RESOURCE_EXHAUSTED;
    case ErrorCode.INADEQUATE_SECURITY:
      return Status.PERMISSION_DENIED;
    default:
      return Status.INTERNAL;
  }
}
