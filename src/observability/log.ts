import { type Level, type Logger, pino } from 'pino';
import { printable } from '../printable.ts';
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
  // Whatever a peer has put into a field: here it stays a part of that field. JSON itself leaves C1 as it is.
  const write = (line: string) => {
    const json = printable(line);
    sink.write(human ? human(json) : json);
  };
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
    // Else it would show these as they are, before the message or below.
    ignore: 'name,pid,hostname,caller,type,stack',
    messageFormat: ({ level: _level, time: _time, msg, err, ...fields }) => {
      const { stack }: { stack?: unknown } = Object(err);
      const isError = typeof stack === 'string';
      const shown = Object.entries(isError || err === undefined ? fields : { ...fields, err });
      const words = shown.map(([name, value]) => `  ${humanText(name)}=${humanText(value)}`);
      const line = printable(String(msg)).replaceAll('\n', '\\n');
      return `${line}${words.join('')}${isError ? `\n${humanStack(stack)}` : ''}`;
    },
  });
}

/** Quoted where it could be taken for the end of its field, or for another one. */
function humanText(value: unknown): string {
  const text = Array.isArray(value) ? value.join(', ') : textOf(value);
  const isPlain = /^[^\s"=\\]+$/.test(text) && printable(text) === text;
  return isPlain ? text : printable(JSON.stringify(text));
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** What an error says may hold a peer's words: no line of it begins where the log's own lines do. */
function humanStack(stack: string): string {
  const [first = '', ...rest] = printable(stack).split('\n');
  const lines = rest.map((line) => (line.startsWith('    ') ? line : `    ${line}`));
  return [/^\w/.test(first) ? first : `    ${first}`, ...lines].join('\n');
}
