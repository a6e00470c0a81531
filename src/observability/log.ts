import { type Level, type Logger, pino } from 'pino';
import { createSink, type Sink } from './sink.ts';

/** How and where the log is written. */
export interface LogOptions {
  level: Level;
  /** `human` for lines that people read, `json` for one object a line. */
  format: 'human' | 'json';
  /** A file descriptor. */
  to: number;
}

/** A logger, and the way to see its last line out. */
export interface Log extends Pick<Sink, 'dropped' | 'flushNow' | 'close'> {
  log: Logger;
}

const gatherBytes = 8 * 1024;

/** Makes the process's logger. Nothing that happens to its file reaches those who log. */
export async function createLog({ level, format, to }: LogOptions): Promise<Log> {
  const isHuman = format === 'human';
  const sink = createSink({ to, gatherBytes: isHuman ? 1 : gatherBytes });
  const human = isHuman ? await humanLines() : undefined;
  const options = {
    level,
    base: null,
    timestamp: createTimestamp(),
    formatters: { level: (label: string) => ({ level: label }) },
  };
  const write = human
    ? (line: string) => sink.write(human(line))
    : (line: string) => sink.write(line);
  return { ...sink, log: pino(options, { ...sink, write }) };
}

/** The member of a line that says when, made once for all lines of a millisecond. */
function createTimestamp(): () => string {
  let made = 0;
  let member = '';
  return () => {
    const now = Date.now();
    if (now !== made) {
      made = now;
      member = `,"time":"${new Date(now).toISOString()}"`;
    }
    return member;
  };
}

/** Loaded only where people read, so that a server elsewhere starts without it. */
async function humanLines(): Promise<(line: string) => string> {
  const { prettyFactory } = await import('pino-pretty');
  return prettyFactory({
    translateTime: 'SYS:HH:MM:ss.l',
    hideObject: true,
    messageFormat: ({ level: _level, time: _time, msg, err, ...fields }) => {
      const shown = Object.entries(fields).map(([name, value]) => `  ${name}=${humanValue(value)}`);
      const { stack }: { stack?: string } = Object(err);
      return `${String(msg)}${shown.join('')}${stack === undefined ? '' : `\n${stack}`}`;
    },
  });
}

function humanValue(value: unknown): string {
  const text = Array.isArray(value) ? value.join(', ') : String(value);
  return /[\s"]/.test(text) ? JSON.stringify(text) : text;
}
