import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { logThrown } from './observability/log_thrown.ts';

/** A server that stops in steps, gracefully first. */
export interface Stoppable {
  /** Reports "not ready" and keeps serving, so that callers move away. */
  beginShutdown(): void;
  /** Accepts no new connections; resolves when the last call has ended. */
  drain(): Promise<void>;
  /** Ends now, and cuts the calls that are left. */
  kill(): Promise<void>;
  /** Flushes buffered log lines. Always the last step. */
  flush(): Promise<void>;
}

/** The time limit of each step, in milliseconds. */
export interface StopTimes {
  shutdownDelay: number;
  drainTimeout: number;
}

/** Stops a server in the order that loses nothing. Resolves to true if every call completed. */
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
 * Lets SIGTERM end the process at once with exit code 143, and in process 1 also SIGINT with 130, until handleSignals()
 * takes over. The kernel delivers no signal to process 1, such as a container's command, without a listener.
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

/** npm forwards Ctrl-C of a terminal, so SIGINT may arrive twice; within so many milliseconds it counts once. */
const duplicateSignalMs = 500;

/** The part of a running server that signals control. */
interface Signalled {
  readonly log: Pick<Logger, 'info'>;
  /** Reloads the TLS files; undefined if there are none. */
  readonly reload: (() => void) | undefined;
}

/** The requests made by signals. */
export interface Signals {
  /** Resolves with the first signal that stops the server. */
  readonly stopped: Promise<NodeJS.Signals>;
  /** From now on, other signals are handled by this server, and logged. */
  attach(server: Signalled): void;
}

interface SignalDeps {
  /** True if the process had a terminal that has been closed. */
  terminalIsGone: () => boolean;
  /** Milliseconds on a monotonic clock. */
  now?: () => number;
}

/**
 * Handles all signals, as their default would cut every call. SIGTERM, SIGINT and SIGQUIT stop the server; a second
 * one, at least 500 ms later, ends the process at once with exit code 1. SIGHUP reloads the TLS files, but stops the
 * server if the terminal was closed. SIGUSR2 is ignored.
 */
export function handleSignals({
  terminalIsGone,
  now = performance.now.bind(performance),
}: SignalDeps): Signals {
  let server: Signalled | undefined;
  const stopped = new Promise<NodeJS.Signals>((resolve) => {
    let firstAt: number | undefined;
    const onStop = (signal: NodeJS.Signals) => {
      if (firstAt !== undefined && now() - firstAt >= duplicateSignalMs) process.exit(1);
      firstAt ??= now();
      resolve(signal);
    };
    process.on('SIGTERM', onStop).on('SIGINT', onStop).on('SIGQUIT', onStop);
    // Removed only now: without any listener, Node drops a pending signal.
    process.off('SIGTERM', exitTerminated).off('SIGINT', exitInterrupted);
    process.on('SIGHUP', (signal) => {
      if (terminalIsGone()) resolve(signal);
      else if (server?.reload) {
        server.log.info({ signal }, 'reloading TLS files');
        server.reload();
      } else ignore(signal, 'there are no TLS files to reload');
    });
  });
  process.on('SIGUSR2', (signal) => ignore(signal));
  return { stopped, attach: (running) => void (server = running) };

  function ignore(signal: NodeJS.Signals, reason?: string): void {
    server?.log.info({ signal, reason }, 'ignoring a signal');
  }
}

/**
 * From now on, uncaught errors and unhandled rejections, such as in a service's timer, are logged and do not end the
 * process: a fault in one call must not cut all others.
 */
export function logUncaughtErrors(log: Pick<Logger, 'error'>): void {
  process.on('uncaughtException', (thrown, origin) => {
    logThrown(log, thrown, { origin, message: 'thrown outside of a call' });
  });
}
