import { createHash } from 'node:crypto';
import { type Payload, PayloadType, SimpleRequest } from '../../gen/grpc/testing/messages.ts';
import { createTimestamps } from './timestamps.ts';

/** `cache-control` allows responses to be reused for so many milliseconds. */
const keepMs = 60_000;
/** The maximum number of responses; the oldest is dropped first. */
const maxKept = 1000;

/**
 * Returns equal responses to equal requests for a minute, like a cache in front of the server: a timestamp in
 * nanoseconds, unique per request.
 */
export function createTestCache(now: () => number): (request: SimpleRequest) => Payload {
  const kept = new Map<string, { answer: Payload; until: number }>();
  const timeNs = createTimestamps(now);

  return (request) => {
    const key = createHash('sha256').update(SimpleRequest.encode(request).finish()).digest('hex');
    const found = kept.get(key);
    if (found && now() < found.until) return found.answer;

    kept.delete(key);
    const answer = { type: PayloadType.COMPRESSABLE, body: Buffer.from(String(timeNs())) };
    kept.set(key, { answer, until: now() + keepMs });
    const [oldest] = kept.keys();
    if (kept.size > maxKept && oldest !== undefined) kept.delete(oldest);
    return answer;
  };
}
