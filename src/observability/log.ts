import { type Level, type Logger, pino } from 'pino';
import { constants, openSync, write as fsWrite, writeSync } from 'node:fs';
import { isatty } from 'node:tty';
import { printable } from '../printable.ts';

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
  /** Writes text for people as it is, between the lines of the log. */
  print: (text: string) => void;
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
  const print = (text: string) => sink.write(printable(text));
  return { ...sink, log: pino(options, { ...sink, write }), print };
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

/** Where a sink writes, and how much it gathers. */
export interface SinkOptions {
  /** A file descriptor. */
  to: number;
  /** So many bytes are written at once; fewer have to wait for others, for 100 ms at most. */
  gatherBytes: number;
}

/** Takes lines, and writes them when it can. */
export interface Sink {
  /** Takes a line, with its end. It may be several for those who read it, as a stack is. */
  write(line: string): void;
  /** Writes what is held; calls back when that is written, or lost. */
  flush(done?: () => void): void;
  /** Writes what is held before it returns, where that can be done without waiting. For the process's end. */
  flushNow(): void;
  /** Lines that are lost: there was no room for them, or an error in their place. */
  dropped(): number;
  /** Writes what is held, and nothing after it; gives up after a second. */
  close(): Promise<void>;
}

/** Whole lines, in one write. */
interface Chunk {
  bytes: Buffer;
  /** Where each of them ends. */
  ends: readonly number[];
  done: (() => void)[];
}

/** Lines gather for at most 100 ms, so that many leave in one write. */
const gatherMs = 100;
const maxChunkBytes = 64 * 1024;
/** What a reader that stalls can make us hold; beyond it lines are lost, and calls go on. */
const maxHeldBytes = 8 * 1024 * 1024;
/** Where there is no room we look again after 1 ms, and twice as long each time, up to this. */
const longestRetryMs = 100;
/** After an error it is tried again a second later, with the lines that have come since. */
const failedMs = 1000;
const closeMs = 1000;

/**
 * Makes a sink for a log. Whatever the operating system says, the process goes on: an error loses the
 * lines that are held, and they are counted. A line of which a part is written is the exception: its
 * rest comes first when there is room again, as a reader could make nothing of two halves in one line.
 */
export function createSink({ to, gatherBytes }: SinkOptions): Sink {
  const fd = withoutBlocking(to);
  const chunks: Chunk[] = [];
  /** Bytes of the first chunk that are written. */
  let sent = 0;
  let gathered = '';
  let gatheredBytes = 0;
  let ends: number[] = [];
  /** All bytes of the chunks, and of what is gathered. */
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
    // What is being written would be written twice.
    if (state === 'writing' || state === 'closed') return;
    seal();
    try {
      for (let [first] = chunks; first; [first] = chunks) {
        sent += writeSync(fd, first.bytes, sent);
        if (sent === first.bytes.length) shift(first);
      }
    } catch {
      // Nobody is left to be told.
    }
  }

  async function close(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const enough = setTimeout(resolve, closeMs);
    flush(resolve);
    // What failed is tried once more, now.
    if (state === 'waiting') writeFirst();
    await promise;
    clearTimeout(enough);
    clearTimeout(timer);
    state = 'closed';
    chunks.length = 0;
  }

  /** Writes what is worth a write, and has the rest wait for more. */
  function goOn(): void {
    if (chunks.length === 0 && gatheredBytes >= gatherBytes) seal();
    if (chunks.length > 0) writeFirst();
    else if (gatheredBytes > 0) timer ??= setTimeout(() => flush(), gatherMs).unref();
  }

  /** Makes a chunk of what is gathered. */
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
      // None at all would be no progress.
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

  /** Lets go of all lines but the one of which a part is written. */
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

/** Whether the same write may do in a moment: nobody has read what came before. */
function isForNow({ code }: NodeJS.ErrnoException): boolean {
  return code === 'EAGAIN' || code === 'EBUSY' || code === 'EINTR';
}

/**
 * A terminal can be stopped (Ctrl-S), and a write to it then waits: so does the process's exit, for the
 * thread that writes. Opened anew it does not. Pipes and sockets do not wait once Node has made a
 * stream of them.
 */
function withoutBlocking(fd: number): number {
  try {
    if (!isatty(fd)) return fd;
    return openSync(
      `/dev/fd/${fd}`,
      constants.O_WRONLY | constants.O_NOCTTY | constants.O_NONBLOCK,
    );
  } catch {
    // One that is gone, that is another user's, or that has no such name.
    return fd;
  }
}
