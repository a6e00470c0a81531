import type { Logger } from 'pino';
import { bounded } from '../engine/bounded.ts';

/** A connection error. */
interface ConnectionEvent {
  /** One of a fixed set. */
  reason: string;
  message: string;
  /** `ADDRESS:PORT`. */
  peer: string;
}

/** Counts and logs connections that were refused or closed with an error, and requests that are not gRPC calls. */
export interface ConnectionErrors {
  record: (event: ConnectionEvent) => void;
  /** The counts by reason. */
  counts: () => Iterable<readonly [reason: string, count: number]>;
}

interface ConnectionErrorsOptions {
  log: Pick<Logger, 'warn'>;
  /** Milliseconds on a monotonic clock. */
  now?: () => number;
}

/** A reason is logged once per address in so many milliseconds. */
const quietMs = 60_000;
/**
 * The maximum number of addresses that are distinguished, and of lines written, in that time; the rest is only
 * counted.
 */
const maxLines = 1000;
/** Details may quote a name of 16 KiB from the peer. */
const maxDetailBytes = 400;

/**
 * Counts all errors, and logs one line per reason and address in a minute, with the number of errors since the last
 * line.
 */
export function createConnectionErrors({
  log,
  now = performance.now.bind(performance),
}: ConnectionErrorsOptions): ConnectionErrors {
  const counts = new Map<string, number>();
  /** By reason and address, oldest first. */
  const logged = new Map<string, { at: number; since: number }>();

  return {
    record({ reason, message, peer }) {
      counts.set(reason, (counts.get(reason) ?? 0) + 1);
      const key = `${reason} ${addressOf(peer)}`;
      const at = now();
      for (const [oldest, last] of logged) {
        if (at - last.at < quietMs || oldest === key) break;
        logged.delete(oldest);
      }
      const last = logged.get(key);
      if (last && at - last.at < quietMs) {
        last.since++;
        return;
      }
      if (!last && logged.size >= maxLines) return;
      logged.delete(key);
      logged.set(key, { at, since: 0 });
      const repeated = last && last.since > 0 ? { repeated: last.since } : {};
      const detail = bounded(message, maxDetailBytes);
      log.warn({ reason, peer, detail, ...repeated }, 'connection error');
    },
    counts: () => counts,
  };
}

function addressOf(peer: string): string {
  const port = peer.lastIndexOf(':');
  return port === -1 ? peer : peer.slice(0, port);
}
