import { type Level, type Logger, pino } from 'pino';

/** How and where the log is written. */
export interface LogOptions {
  level: Level;
  /** `human` for lines that people read, `json` for one object a line. */
  format: 'human' | 'json';
  /** A file descriptor. */
  to: number;
}

/** A logger, and the way to see its last line out. */
export interface Log {
  log: Logger;
  /** Lines that were lost, since nobody has read those before them. */
  dropped: () => number;
  /** Writes what is still held, and nothing after it; gives up after a second, when nobody reads. */
  close: () => Promise<void>;
}

/** Lines gather for at most 100 ms, so that many leave in one write. */
const gatherMs = 100;
const gatherBytes = 8 * 1024;
/** What a reader that stalls can make us hold; beyond it lines are lost, and calls go on. */
const maxHeldBytes = 8 * 1024 * 1024;
const closeMs = 1000;

/** Makes the process's logger. */
export async function createLog({ level, format, to }: LogOptions): Promise<Log> {
  const gathers = format === 'json';
  const out = pino.destination({
    dest: to,
    sync: false,
    minLength: gathers ? gatherBytes : 1,
    maxLength: maxHeldBytes,
  });
  let dropped = 0;
  out.on('drop', () => dropped++);
  const render = format === 'human' ? await humanLines() : String;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  function write(line: string): void {
    if (closed) return;
    out.write(render(line));
    if (gathers) timer ??= setTimeout(writeGathered, gatherMs).unref();
  }

  function writeGathered(): void {
    timer = undefined;
    if (!closed) out.flush();
  }

  const options = {
    level,
    base: null,
    timestamp: createTimestamp(),
    formatters: { level: (label: string) => ({ level: label }) },
  };
  const stream = { write, flush: (done: () => void) => out.flush(done) };
  return {
    log: pino(options, stream),
    dropped: () => dropped,
    async close() {
      await new Promise<unknown>((resolve) => {
        setTimeout(resolve, closeMs).unref();
        out.flush(resolve);
      });
      closed = true;
      // Else pino would write the rest as the process exits, and wait for its reader for ever.
      out.destroy();
    },
  };
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
