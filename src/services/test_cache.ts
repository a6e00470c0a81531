import { createHash } from 'node:crypto';
import { type Payload, PayloadType, SimpleRequest } from '../gen/grpc/testing/messages.ts';
import { createTimestamps } from './timestamps.ts';

/** What `cache-control` allows: an answer may be given again for a minute, in milliseconds. */
const keepMs = 60_000;
/** Beyond it the oldest answer is forgotten. */
const maxKept = 1000;

/**
 * Gives equal requests equal answers for a minute, as a cache before the server would: a time in
 * nanoseconds, and no two requests have the same.
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
