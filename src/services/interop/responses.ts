import { ExpectedError } from '../../engine/errors.ts';
import type { Call } from '../../context.ts';
import { exhausted, invalidArgument } from '../../errors.ts';
import {
  type BoolValue,
  type EchoStatus,
  PayloadType,
  type StreamingOutputCallRequest,
} from '../../gen/grpc/testing/messages.ts';

/** The maximum per request; the C++ client's slow_consumer test asks for as many. */
const maxResponses = 2000;
const maxMiB = 64;
const maxRequests = 2000;
/** Each takes about 100 bytes. */
const maxWaiting = 100_000;

/** Throws INVALID_ARGUMENT or RESOURCE_EXHAUSTED for a payload that cannot be created. */
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

/** Validates all responses that the requests ask for, before any is created. */
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

/** Throws INVALID_ARGUMENT if the last message should have been compressed and was not. */
export function checkCompressed(expected: BoolValue | undefined, { compression }: Call): void {
  if (expected?.value && compression && !compression.requestCompressed) {
    throw invalidArgument('expect_compressed', 'this message came uncompressed');
  }
}

/** Enables or disables compression of the following responses; clients verify both. */
export function compress({ compression }: Call, wanted = false): void {
  if (compression) compression.compressResponses = wanted;
}

/** The maximum of echoed metadata in bytes, leaving room for the rest of the 8,192 bytes that clients accept. */
const maxEchoed = 6000;

/**
 * Echoes the metadata that the caller asks for, and the hostname. Throws RESOURCE_EXHAUSTED for more than clients
 * accept.
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

/** Throws the status that the caller asks for, unless it is OK. */
export function throwAsked(status: EchoStatus | undefined): void {
  if (!status || status.code === 0) return;
  if (status.code < 0) throw invalidArgument('response_status.code', 'must not be negative');
  throw new ExpectedError(status.message.slice(0, longestMessage), { code: status.code });
}

/** The maximum length of an echoed status message, in characters. */
const longestMessage = 4096;

/** The parts of a streaming request that are kept until its responses are sent. */
export interface Asked extends Pick<
  StreamingOutputCallRequest,
  'responseType' | 'responseParameters'
> {
  responseStatus: EchoStatus | undefined;
}

/** The memory of a pending request, and of each pending response, in bytes. */
const requestCost = 150;
const responseCost = 150;

/** The pending responses of one call. */
export interface Waiting {
  /** Throws RESOURCE_EXHAUSTED if all calls have too many. */
  add(count: number): void;
  /** Must be called when the call ends. */
  clear(): void;
}

/** Limits the pending responses of all calls: two bytes ask for one, which is kept while the client does not read. */
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
 * Collects the requests of a stream up to the first status other than OK, which ends the call. Throws
 * RESOURCE_EXHAUSTED if the requests, or the responses that they ask for, exceed the limits of a call.
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

/** Copies the substring, as V8 keeps the whole string for a slice. */
function shortened(status: EchoStatus | undefined): EchoStatus | undefined {
  if (!status || status.code === 0) return undefined;
  const { code, message } = status;
  if (message.length <= longestMessage) return { code, message };
  const part = message.slice(0, longestMessage);
  return { code, message: Buffer.from(part, 'utf16le').toString('utf16le') };
}
