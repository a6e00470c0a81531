import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { logThrown } from './observability/log_thrown.ts';

/** Something that runs, and can be asked to stop in steps: politely first. */
export interface Stoppable {
  /** Says "not ready" while still answering, so that callers move away. */
  beginShutdown(): void;
  /** Takes no new connections; resolves when the last call has ended. */
  drain(): Promise<void>;
  /** Ends now, cutting the calls that are left. */
  kill(): Promise<void>;
  /** Sends out what is still held: log lines. Always comes last. */
  flush(): Promise<void>;
}

/** How long each step may take, in milliseconds. */
export interface StopTimes {
  shutdownDelay: number;
  drainTimeout: number;
}

/** Stops in the one order that loses nothing. True when every call ended by itself. */
export async function stop(
  app: Stoppable,
  { shutdownDelay, drainTimeout }: StopTimes,
): Promise<boolean> {
  app.beginShutdown();
  if (shutdownDelay > 0) await sleep(shutdownDelay);

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

/**
 * Has SIGTERM end the process at once, with exit code 143, and as process 1 SIGINT too, with 130, until
 * heedSignals() takes over: the kernel lets no signal end process 1, such as a command in a container, that
 * nobody listens for.
 */
export function endAtSignals(): void {
  process.on('SIGTERM', exitTerminated);
  if (process.pid === 1) process.on('SIGINT', exitInterrupted);
}

function exitTerminated(): void {
  process.exit(143);
}

function exitInterrupted(): void {
  process.exit(130);
}

/** A terminal's Ctrl-C under npm arrives twice at once: npm passes it on, and it is one wish. */
const sameWishMs = 500;

/** A server that runs, as far as signals are for it. */
interface Signalled {
  readonly log: Pick<Logger, 'info'>;
  /** Reads its files again, where it has any. */
  readonly reload: (() => void) | undefined;
}

/** What signals ask for. */
export interface Signals {
  /** Resolves with the first that asks the server to stop. */
  readonly stopped: Promise<NodeJS.Signals>;
  /** From now on signals that do not stop this server reach it, and are in its log. */
  attach(server: Signalled): void;
}

interface SignalDeps {
  /** Whether there was a terminal, and is no more. */
  terminalIsGone: () => boolean;
  /** Milliseconds, that never go back. */
  now?: () => number;
}

/**
 * Listens to signals, and leaves none to its default, which would cut every call. SIGTERM, SIGINT and
 * SIGQUIT stop the server; another of them, if it comes 500 ms after the first or later, ends the process
 * at once with exit code 1. SIGHUP has its files read again, but stops it where it says that the terminal
 * has gone. SIGUSR2 is ignored.
 */
export function heedSignals({
  terminalIsGone,
  now = performance.now.bind(performance),
}: SignalDeps): Signals {
  let server: Signalled | undefined;
  const stopped = new Promise<NodeJS.Signals>((resolve) => {
    let firstAt: number | undefined;
    const onStop = (signal: NodeJS.Signals) => {
      if (firstAt !== undefined && now() - firstAt >= sameWishMs) process.exit(1);
      firstAt ??= now();
      resolve(signal);
    };
    process.on('SIGTERM', onStop).on('SIGINT', onStop).on('SIGQUIT', onStop);
    // Only now: without a listener Node drops a signal that has come and has not been told.
    process.off('SIGTERM', exitTerminated).off('SIGINT', exitInterrupted);
    process.on('SIGHUP', (signal) => {
      if (terminalIsGone()) resolve(signal);
      else if (server?.reload) {
        server.log.info({ signal }, 'reading TLS files again');
        server.reload();
      } else ignore(signal, 'there are no TLS files that can be read again');
    });
  });
  process.on('SIGUSR2', (signal) => ignore(signal));
  return { stopped, attach: (running) => void (server = running) };

  function ignore(signal: NodeJS.Signals, reason?: string): void {
    server?.log.info({ signal, reason }, 'ignoring a signal');
  }
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
