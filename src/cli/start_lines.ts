import type { App } from '../app.ts';
import type { Config } from '../config.ts';
import type { Bound } from '../transport/listen.ts';
import type { Io } from './command.ts';
import { shellWord } from './shell.ts';

interface Started extends Pick<Io, 'program' | 'firstCall'> {
  app: Pick<App, 'bound' | 'services'>;
  config: Pick<Config, 'tlsCertFile' | 'tlsClientCaFile' | 'drainTimeout'>;
}

/** A first call to try, as a shell command; undefined if it needs a client certificate. */
export function callToTry({ app, config, program, firstCall }: Started): string | undefined {
  const [first] = app.bound.grpc;
  const address = first && callable(first);
  if (config.tlsClientCaFile || address === undefined) return undefined;
  const addr = `--addr ${shellWord(address)}`;
  if (config.tlsCertFile) return `${program} health ${addr} --tls --tls-no-verify`;
  if (firstCall === undefined) return `${program} health ${addr}`;
  return `${program} ${firstCall}${address === 'localhost:50051' ? '' : ` ${addr}`}`;
}

/**
 * An address that reaches this server from this machine; the same port of another address may belong to another
 * server.
 */
export function callable({ address, port }: Bound): string {
  if (port === undefined) return address;
  const host = address.replace(/:\d+$/, '');
  if (host === '' || host === '[::]') return `localhost:${port}`;
  return `${host === '0.0.0.0' ? '127.0.0.1' : host}:${port}`;
}

/** The maximum width of a line. */
const width = 80;

/**
 * The lines that a terminal shows when the server has started: addresses, services, metrics, a command to try, and
 * how to stop.
 */
export function startLines(started: Started): string {
  const { app, config } = started;
  const { grpc, health, admin } = app.bound;
  const [metrics] = admin;
  const rows = [
    [
      'gRPC',
      `${callables(grpc)}${config.tlsCertFile ? ', TLS' : ''}${health.length > 0 ? `; health on ${callables(health)}` : ''}`,
    ],
    ['Services', fitting(app.services, width - indent)],
    ['Metrics', metrics ? urlOf(metrics) : 'off'],
    ['Try', callToTry(started) ?? 'a client that has a certificate'],
    ['Stop', `Ctrl-C; open calls have ${duration(config.drainTimeout)} to finish`],
  ];
  return rows.map(([name = '', text]) => `${name.padEnd(indent)}${text}\n`).join('');
}

const indent = 10;

function callables(bound: readonly Bound[]): string {
  return bound.map(callable).join(', ');
}

function urlOf(bound: Bound): string {
  const address = callable(bound);
  return bound.port === undefined ? `${address}, /metrics` : `http://${address}/metrics`;
}

/** As many names as fit, and the number of the others. */
function fitting(names: readonly string[], room: number): string {
  let text = '';
  for (const [index, name] of names.entries()) {
    const longer = index === 0 ? name : `${text}, ${name}`;
    const left = names.length - index - 1;
    const more = left > 0 ? ` and ${left} more` : '';
    if (index > 0 && longer.length + more.length > room) return `${text} and ${left + 1} more`;
    text = longer;
  }
  return text;
}

interface Stopping {
  signal: NodeJS.Signals;
  /** The open calls that end on their own. */
  calls: number;
  /** Milliseconds. */
  shutdownDelay: number;
  drainTimeout: number;
}

/** The line that a terminal shows at shutdown: what the server waits for, and how to stop at once. */
export function stopLine({ signal, calls, shutdownDelay, drainTimeout }: Stopping): string {
  // The terminal has shown ^C.
  const start = signal === 'SIGINT' ? '\n' : '';
  if (calls === 0 && shutdownDelay === 0) return `${start}Shutting down: no call is open.\n`;
  const open = calls === 1 ? '1 open call' : `${calls} open calls`;
  const waits = [
    ...(shutdownDelay > 0 ? [`serving for another ${duration(shutdownDelay)}`] : []),
    `waiting at most ${duration(drainTimeout)} for ${calls === 0 ? 'open calls' : open}`,
  ];
  return `${start}Shutting down: ${waits.join(', then ')}. Press Ctrl-C again to end now.\n`;
}

/** In the format of a setting. */
function duration(ms: number): string {
  if (ms % 1000 !== 0) return `${ms}ms`;
  const [minutes, seconds] = [Math.floor(ms / 60_000), (ms % 60_000) / 1000];
  if (minutes === 0) return `${seconds}s`;
  return `${minutes}m${seconds === 0 ? '' : `${seconds}s`}`;
}
