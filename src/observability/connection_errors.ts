import type { Logger } from 'pino';
import { bounded } from '../engine/bounded.ts';

/** What went wrong with a connection. */
interface ConnectionEvent {
  /** One of a few. */
  reason: string;
  message: string;
  /** `ADDRESS:PORT`. */
  peer: string;
}

/** Tells operators what connections come to that are refused, cut or answered in no call. */
export interface ConnectionErrors {
  record: (event: ConnectionEvent) => void;
  /** How often each reason has been recorded. */
  counts: () => Iterable<readonly [reason: string, count: number]>;
}

interface ConnectionErrorsOptions {
  log: Pick<Logger, 'warn'>;
  /** Milliseconds. */
  now?: () => number;
}

/** A reason is logged once for each address in so many milliseconds. */
const quietMs = 60_000;
/** So many addresses are told apart, and so many lines written in that time; what is beyond is counted alone. */
const maxLines = 1000;
/** What is wrong may be a name of 16 KiB that the peer has sent. */
const maxDetailBytes = 400;

/** Counts all, and logs one line for each reason and address a minute, with how many came since the last. */
export function createConnectionErrors({
  log,
  now = performance.now.bind(performance),
}: ConnectionErrorsOptions): ConnectionErrors {
  const counts = new Map<string, number>();
  /** By reason and address, the oldest first. */
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
