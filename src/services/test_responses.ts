import { ExpectedError } from '../engine/errors.ts';
import type { Call } from '../context.ts';
import { exhausted, invalidArgument } from '../errors.ts';
import {
  type BoolValue,
  type EchoStatus,
  PayloadType,
  type StreamingOutputCallRequest,
} from '../gen/grpc/testing/messages.ts';

/** For one request: the C++ client does ask for so many, in slow_consumer. */
const maxResponses = 2000;
const maxMiB = 64;
const maxRequests = 2000;
/** Each takes some 100 bytes. */
const maxWaiting = 100_000;

/** Throws INVALID_ARGUMENT or RESOURCE_EXHAUSTED for a payload that nobody can have. */
export function checkPayload(type: PayloadType, size: number, maxSize: number): void {
  if (type !== PayloadType.COMPRESSABLE) {
    throw invalidArgument('response_type', 'must be COMPRESSABLE');
  }
  if (size < 0) throw invalidArgument('size', 'must not be negative');
  if (size > maxSize) throw exhausted('send this response', `at most ${maxSize} bytes`);
}

function tooManyResponses() {
  return exhausted('send these responses', `at most ${maxResponses} for one request`);
}

/** Throws what is wrong with the responses that some requests ask for together, before any is made. */
export function checkResponses(
  requests: readonly Pick<Asked, 'responseType' | 'responseParameters'>[],
  maxSize: number,
): void {
  let bytes = 0;
  let count = 0;
  for (const { responseType, responseParameters } of requests) {
    count += responseParameters.length;
    if (count > maxResponses) throw tooManyResponses();
    for (const { size } of responseParameters) {
      checkPayload(responseType, size, maxSize);
      bytes += size;
    }
  }
  if (bytes > maxMiB * 1024 * 1024) {
    throw exhausted('send these responses', `at most ${maxMiB} MiB for one request`);
  }
}

/** Throws INVALID_ARGUMENT where the message that was taken last should have come compressed, and has not. */
export function checkCompressed(expected: BoolValue | undefined, { compression }: Call): void {
  if (expected?.value && compression && !compression.requestCompressed) {
    throw invalidArgument('expect_compressed', 'this message came uncompressed');
  }
}

/** Compresses what follows, or not: clients look whether what they have not asked to be is not. */
export function compress({ compression }: Call, wanted = false): void {
  if (compression) compression.compressResponses = wanted;
}

/** Of what is echoed in metadata, with room for the rest of the 8,192 bytes that clients take. */
const maxEchoed = 6000;

/**
 * Says where the server runs, and what the caller wants to hear again, once each. Throws RESOURCE_EXHAUSTED
 * for more than a client takes.
 */
export function echo({ metadata, header, trailer }: Call, hostname: string): void {
  const initial = metadata.get('x-grpc-test-echo-initial');
  const trailing = metadata.get('x-grpc-test-echo-trailing-bin');
  header.set('hostname', hostname);
  for (const asked of [initial, trailing]) {
    if (asked && asked.length > maxEchoed) {
      throw exhausted('echo this metadata', `at most ${maxEchoed} bytes`);
    }
  }
  if (initial !== undefined) header.set('x-grpc-test-echo-initial', initial);
  if (trailing !== undefined) trailer.set('x-grpc-test-echo-trailing-bin', trailing);
}

/** Throws the status that the caller asks for, if that is not OK. */
export function throwAsked(status: EchoStatus | undefined): void {
  if (!status || status.code === 0) return;
  if (status.code < 0) throw invalidArgument('response_status.code', 'must not be negative');
  throw new ExpectedError(status.message.slice(0, longestMessage), { code: status.code });
}

/** What a caller hears of a status' message at most, in characters. */
const longestMessage = 4096;

/** What a stream of requests may ask for, and what of that is kept until it is sent. */
export interface Asked extends Pick<
  StreamingOutputCallRequest,
  'responseType' | 'responseParameters'
> {
  responseStatus: EchoStatus | undefined;
}

/** Bytes that a request takes in memory as it is kept, and each response that it asks for. */
const requestCost = 150;
const responseCost = 150;

/** The responses that one call has still to send, as they count among those of all. */
export interface Waiting {
  /** Throws RESOURCE_EXHAUSTED where there are too many. */
  add(count: number): void;
  /** The call is over. */
  clear(): void;
}

/**
 * Counts the responses that all calls together have still to send: two bytes ask for one, and it is kept
 * as long as nobody reads.
 */
export function createBacklog(): () => Waiting {
  let all = 0;
  return () => {
    let own = 0;
    return {
      add(count) {
        if (all + count > maxWaiting) {
          throw exhausted('send these responses', `at most ${maxWaiting} for all calls together`);
        }
        all += count;
        own += count;
      },
      clear() {
        all -= own;
        own = 0;
      },
    };
  };
}

/**
 * All requests of a stream, as far as they are answered: the first status that is not OK ends the call, and
 * no other is looked at. Throws RESOURCE_EXHAUSTED for more of them, or of the responses that they ask for,
 * than one call may have waiting.
 */
export async function collectRequests(
  requests: AsyncIterable<StreamingOutputCallRequest>,
  { waiting, retain }: { waiting: Waiting } & Pick<Call, 'retain'>,
): Promise<Asked[]> {
  const collected: Asked[] = [];
  let responses = 0;
  let bytes = 0;
  let ending: EchoStatus | undefined;
  for await (const { responseType, responseParameters, responseStatus } of requests) {
    responses += responseParameters.length;
    waiting.add(responseParameters.length);
    if (responses > maxResponses) throw tooManyResponses();
    if (collected.length === maxRequests) {
      throw exhausted('keep these requests', `at most ${maxRequests}`);
    }
    const status = ending ? undefined : shortened(responseStatus);
    ending ??= status;
    collected.push({ responseType, responseParameters, responseStatus: status });
    bytes += requestCost + responseParameters.length * responseCost;
    bytes += 2 * (status?.message.length ?? 0);
    retain?.(bytes);
  }
  return collected;
}

/** A part of a string keeps the whole of it, as long as it is no string of its own. */
function shortened(status: EchoStatus | undefined): EchoStatus | undefined {
  if (!status || status.code === 0) return undefined;
  const { code, message } = status;
  if (message.length <= longestMessage) return { code, message };
  const part = message.slice(0, longestMessage);
  return { code, message: Buffer.from(part, 'utf16le').toString('utf16le') };
}
