import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { logThrown } from './observability/log_thrown.ts';

/** Something that runs, and can be asked to stop in steps: politely first. */
export interface Stoppable {
  /** Says "not ready" while still answering, so that callers move away. */
  leave(): void;
  /** Takes no new connections; resolves when the last call has ended. */
  drain(): Promise<void>;
  /** Ends now, cutting the calls that are left. */
  kill(): Promise<void>;
  /** Sends out what is still held: log lines. Always comes last. */
  flush(): Promise<void>;
}

/** How long each step may take, in milliseconds. */
export interface StopTimes {
  leaveDelay: number;
  drainTimeout: number;
}

/** Stops in the one order that loses nothing. True when every call ended by itself. */
export async function stop(
  app: Stoppable,
  { leaveDelay, drainTimeout }: StopTimes,
): Promise<boolean> {
  app.leave();
  if (leaveDelay > 0) await sleep(leaveDelay);

  const timeout = new AbortController();
  const clean = await Promise.race([
    app.drain().then(() => true),
    sleep(drainTimeout, false, { signal: timeout.signal }).catch(() => false),
  ]);
  timeout.abort();
  if (!clean) await app.kill();
  await app.flush();
  return clean;
}

/** A terminal's Ctrl-C under npm arrives twice at once: npm passes it on, and it is one wish. */
const sameWishMs = 500;

/**
 * Resolves with the first SIGTERM, SIGINT or SIGHUP, which a terminal sends as it goes away. Another SIGTERM
 * or SIGINT, if it comes 500 ms after the first or later, ends the process at once with exit code 1.
 */
export function stopSignal(now: () => number = performance.now.bind(performance)) {
  return new Promise<NodeJS.Signals>((resolve) => {
    let firstAt: number | undefined;
    const onSignal = (signal: NodeJS.Signals) => {
      const isInsisting = firstAt !== undefined && now() - firstAt >= sameWishMs;
      if (isInsisting && signal !== 'SIGHUP') process.exit(1);
      firstAt ??= now();
      resolve(signal);
    };
    process.on('SIGTERM', onSignal).on('SIGINT', onSignal).on('SIGHUP', onSignal);
  });
}

/**
 * From now on what is thrown where nobody waits for it, such as in a timer or an abort listener of a
 * service, is in the log and ends nothing: it is a fault in one call, and all others would pay for it.
 */
export function surviveStrays(log: Pick<Logger, 'error'>): void {
  process.on('uncaughtException', (thrown, origin) => {
    logThrown(log, thrown, { origin, message: 'thrown outside of a call' });
  });
}
