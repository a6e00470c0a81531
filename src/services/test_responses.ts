import { CallersFault } from '../callers_fault.ts';
import type { Call } from '../context.ts';
import { exhausted, invalidArgument } from '../errors.ts';
import {
  type BoolValue,
  type EchoStatus,
  PayloadType,
  type StreamingOutputCallRequest,
} from '../gen/grpc/testing/messages.ts';
import { maxResponses, tooManyResponses } from './test_definition.ts';

const mostMiB = 64;
const maxRequests = 2000;

/** Throws INVALID_ARGUMENT or RESOURCE_EXHAUSTED for a payload that nobody can have. */
export function checkPayload(type: PayloadType, size: number, maxSize: number): void {
  if (type !== PayloadType.COMPRESSABLE) {
    throw invalidArgument('response_type', 'must be COMPRESSABLE');
  }
  if (size < 0) throw invalidArgument('size', 'must not be negative');
  if (size > maxSize) throw exhausted('send this response', `at most ${maxSize} bytes`);
}

/** Throws what is wrong with the responses that some requests ask for together, before any is made. */
export function checkResponses(
  requests: readonly StreamingOutputCallRequest[],
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
  if (bytes > mostMiB * 1024 * 1024) {
    throw exhausted('send these responses', `at most ${mostMiB} MiB for one request`);
  }
}

/** Throws INVALID_ARGUMENT where the message that was taken last should have come compressed, and has not. */
export function checkCompressed(expected: BoolValue | undefined, { compression }: Call): void {
  if (expected?.value && compression && !compression.requestCompressed) {
    throw invalidArgument('expect_compressed', 'this message came uncompressed');
  }
}

/** Throws the status that the caller asks for, if that is not OK. */
export function throwAsked(status: EchoStatus | undefined): void {
  if (!status || status.code === 0) return;
  if (status.code < 0) throw invalidArgument('response_status.code', 'must not be negative');
  throw new CallersFault(status.message, { code: status.code });
}

/**
 * All requests of a stream, without their payloads. Throws RESOURCE_EXHAUSTED for more of them, or of the
 * responses that they ask for, than one call may have waiting.
 */
export async function collectRequests(
  requests: AsyncIterable<StreamingOutputCallRequest>,
): Promise<StreamingOutputCallRequest[]> {
  const collected: StreamingOutputCallRequest[] = [];
  let responses = 0;
  for await (const request of requests) {
    responses += request.responseParameters.length;
    if (responses > maxResponses) throw tooManyResponses();
    if (collected.length === maxRequests) {
      throw exhausted('keep these requests', `at most ${maxRequests}`);
    }
    collected.push({ ...request, payload: undefined, orcaOobReport: undefined });
  }
  return collected;
}
