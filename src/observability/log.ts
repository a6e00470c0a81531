import { type Level, type Logger, pino } from 'pino';
import { constants, openSync, write as fsWrite, writeSync } from 'node:fs';
import { isatty } from 'node:tty';
import { printable } from '../printable.ts';

/** The level, format and destination of the log. */
export interface LogOptions {
  level: Level;
  /** `human` for a terminal, `json` for one object per line. */
  format: 'human' | 'json';
  /** A file descriptor. */
  to: number;
}

/** A logger that can be flushed and closed. */
export interface Log extends Pick<Sink, 'dropped' | 'flushNow' | 'close'> {
  log: Logger;
  /** Writes text unchanged between the lines of the log. */
  print: (text: string) => void;
}

const gatherBytes = 8 * 1024;

/** Creates the logger of the process. Errors of its file do not reach the callers. */
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
  // Escapes what a peer may have put into a field. JSON leaves C1 control characters as they are.
  const write = (line: string) => {
    const json = printable(line);
    sink.write(human ? human(json) : json);
  };
  const print = (text: string) => sink.write(printable(text));
  return { ...sink, log: pino(options, { ...sink, write }), print };
}

/** The timestamp of a line, formatted once per millisecond. */
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

/** Loaded only for terminals, so that other starts are faster. */
async function humanLines(): Promise<(line: string) => string> {
  const { prettyFactory } = await import('pino-pretty');
  return prettyFactory({
    translateTime: 'SYS:HH:MM:ss.l',
    hideObject: true,
    // pino-pretty would show these raw, before or below the message.
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

/** Quotes a value that could be mistaken for the end of its field, or for another field. */
function humanText(value: unknown): string {
  const text = Array.isArray(value) ? value.join(', ') : textOf(value);
  const isPlain = /^[^\s"=\\]+$/.test(text) && printable(text) === text;
  return isPlain ? text : printable(JSON.stringify(text));
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** Indents a stack, as it may quote a peer: none of its lines must look like a log line. */
function humanStack(stack: string): string {
  const [first = '', ...rest] = printable(stack).split('\n');
  const lines = rest.map((line) => (line.startsWith('    ') ? line : `    ${line}`));
  return [/^\w/.test(first) ? first : `    ${first}`, ...lines].join('\n');
}

/** The destination and the buffer size of a sink. */
export interface SinkOptions {
  /** A file descriptor. */
  to: number;
  /** The number of bytes to write at once; fewer bytes wait for up to 100 ms. */
  gatherBytes: number;
}

/** Buffers lines and writes them asynchronously. */
export interface Sink {
  /** Adds a line, with its line break. It may contain several lines, such as a stack. */
  write(line: string): void;
  /** Writes buffered lines; calls back when they are written or lost. */
  flush(done?: () => void): void;
  /** Writes buffered lines synchronously, as far as that does not block. For the exit of the process. */
  flushNow(): void;
  /** The number of lost lines, due to a full buffer or an error. */
  dropped(): number;
  /** Writes buffered lines and ignores later ones; gives up after a second. */
  close(): Promise<void>;
}

/** Whole lines that are written at once. */
interface Chunk {
  bytes: Buffer;
  /** The end offsets of the lines. */
  ends: readonly number[];
  done: (() => void)[];
}

/** The maximum delay of a line in milliseconds. */
const gatherMs = 100;
const maxChunkBytes = 64 * 1024;
/** The maximum of buffered bytes while the reader stalls; further lines are lost, and calls continue. */
const maxHeldBytes = 8 * 1024 * 1024;
/** A full pipe is retried after 1 ms, then twice as long each time, up to this. */
const longestRetryMs = 100;
/** Milliseconds before a retry after an error, with the lines that have arrived since. */
const failedMs = 1000;
const closeMs = 1000;

/**
 * Creates the sink of a log. No error of the operating system ends the process: buffered lines are lost and counted.
 * A partly written line is kept, and completed once there is room, as a reader could not parse two halves in one
 * line.
 */
export function createSink({ to, gatherBytes }: SinkOptions): Sink {
  const fd = withoutBlocking(to);
  const chunks: Chunk[] = [];
  /** The bytes of the first chunk that are written. */
  let sent = 0;
  let gathered = '';
  let gatheredBytes = 0;
  let ends: number[] = [];
  /** The bytes of all chunks and of gathered lines. */
  let held = 0;
  let dropped = 0;
  let state: 'idle' | 'writing' | 'waiting' | 'closed' = 'idle';
  let timer: NodeJS.Timeout | undefined;
  let retryMs = 1;

  return { write, flush, flushNow, dropped: () => dropped, close };

  function write(line: string): void {
    if (state === 'closed') return;
    const bytes = Buffer.byteLength(line);
    if (held + bytes > maxHeldBytes) {
      dropped++;
      return;
    }
    gathered += line;
    gatheredBytes += bytes;
    held += bytes;
    ends.push(gatheredBytes);
    if (gatheredBytes >= maxChunkBytes) seal();
    if (state === 'idle') goOn();
  }

  function flush(done: () => void = () => {}): void {
    seal();
    const last = chunks.at(-1);
    if (!last || state === 'closed') return done();
    last.done.push(done);
    if (state === 'idle') writeFirst();
  }

  function flushNow(): void {
    // Otherwise the chunk being written would be written twice.
    if (state === 'writing' || state === 'closed') return;
    seal();
    try {
      for (let [first] = chunks; first; [first] = chunks) {
        sent += writeSync(fd, first.bytes, sent);
        if (sent === first.bytes.length) shift(first);
      }
    } catch {
      // There is nowhere to report it.
    }
  }

  async function close(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const enough = setTimeout(resolve, closeMs);
    flush(resolve);
    // Retries at once what failed.
    if (state === 'waiting') writeFirst();
    await promise;
    clearTimeout(enough);
    clearTimeout(timer);
    state = 'closed';
    chunks.length = 0;
  }

  /** Writes full chunks; the rest waits for more lines. */
  function goOn(): void {
    if (chunks.length === 0 && gatheredBytes >= gatherBytes) seal();
    if (chunks.length > 0) writeFirst();
    else if (gatheredBytes > 0) timer ??= setTimeout(() => flush(), gatherMs).unref();
  }

  /** Makes a chunk of the gathered lines. */
  function seal(): void {
    if (gatheredBytes === 0) return;
    chunks.push({ bytes: Buffer.from(gathered), ends, done: [] });
    gathered = '';
    gatheredBytes = 0;
    ends = [];
  }

  function writeFirst(): void {
    clearTimeout(timer);
    timer = undefined;
    state = 'idle';
    if (chunks.length === 0) seal();
    const [first] = chunks;
    if (!first) return;
    state = 'writing';
    fsWrite(fd, first.bytes, sent, first.bytes.length - sent, null, (error, written) => {
      if (state === 'closed') return;
      state = 'idle';
      if (error && !isForNow(error)) return lose();
      // A write of zero bytes would be retried forever.
      if (error || written === 0)
        return tryAgain((retryMs = Math.min(retryMs * 2, longestRetryMs)));
      retryMs = 1;
      sent += written;
      if (sent === first.bytes.length) shift(first);
      goOn();
    });
  }

  function shift({ bytes, done }: Chunk): void {
    chunks.shift();
    held -= bytes.length;
    sent = 0;
    for (const each of done) each();
  }

  function tryAgain(ms: number): void {
    state = 'waiting';
    timer = setTimeout(writeFirst, ms).unref();
  }

  /** Drops all lines except a partly written one. */
  function lose(): void {
    seal();
    const lost = chunks.splice(0);
    const [first] = lost;
    const begun = first && sent > 0 ? first.ends.find((end) => end >= sent) : undefined;
    const written = first?.ends.filter((end) => end <= sent).length ?? 0;
    const kept = begun !== undefined && begun > sent;
    for (const chunk of lost) dropped += chunk.ends.length;
    dropped -= written + (kept ? 1 : 0);
    if (first && kept)
      chunks.push({ bytes: first.bytes.subarray(0, begun), ends: [begun], done: [] });
    else sent = 0;
    held = chunks[0]?.bytes.length ?? 0;
    tryAgain(failedMs);
    for (const { done } of lost) for (const each of done) each();
  }
}

/** True for errors that pass soon: the reader is slow. */
function isForNow({ code }: NodeJS.ErrnoException): boolean {
  return code === 'EAGAIN' || code === 'EBUSY' || code === 'EINTR';
}

/**
 * A write to a stopped terminal (Ctrl-S) blocks, and with it the exit of the process, which waits for the thread. A
 * terminal reopened with O_NONBLOCK does not. Pipes and sockets are non-blocking once Node has made a stream of them.
 */
function withoutBlocking(fd: number): number {
  try {
    if (!isatty(fd)) return fd;
    return openSync(
      `/dev/fd/${fd}`,
      constants.O_WRONLY | constants.O_NOCTTY | constants.O_NONBLOCK,
    );
  } catch {
    // The terminal is gone, belongs to another user, or has no such name.
    return fd;
  }
}
