import { constants } from 'node:fs';
import { type FileHandle, open, realpath, stat } from 'node:fs/promises';
import { abortable } from 'abort-controller-x';
import { longestPem, pemFileRule } from '../certificates.ts';

/** What files held at one moment. */
export interface Snapshot {
  /** In the order of their paths. */
  texts: readonly string[];
  /** Names this state of the files; another state has another name. */
  mark: string;
}

interface FilesOptions {
  /** Milliseconds since the epoch. */
  now: () => number;
  /** Made for each reading: when it aborts, the reading has taken too long. */
  patience?: () => AbortSignal;
}

/** A file system's clock may tick in steps as long as this: what changes twice in one looks the same. */
const tickMs = 2000;

/** Files that change under our hands are looked at again so often, before the next time. */
const tries = 3;

/** A file system that hangs is not waited for longer. */
const patienceMs = 5000;

/**
 * Makes what reads files that belong together: regular files of PEM alone. It gives the same snapshot again
 * while they are as they were, which costs no reading as a rule, and undefined while they change; it throws
 * Node's own errors.
 */
export function createFiles(
  paths: readonly string[],
  { now, patience = () => AbortSignal.timeout(patienceMs) }: FilesOptions,
): () => Promise<Snapshot | undefined> {
  let last: Snapshot | undefined;
  let isFresh = true;
  let reading: Promise<Snapshot | undefined> | undefined;

  return async () => {
    const signal = patience();
    // What hangs keeps a thread of Node's few: never two of them.
    reading ??= read().finally(() => (reading = undefined));
    try {
      return await abortable(signal, reading);
    } catch (error) {
      if (!signal.aborted) throw error;
      throw new Error('Cannot read the files in time: their file system does not answer', {
        cause: error,
      });
    }
  };

  async function read(): Promise<Snapshot | undefined> {
    let failure: unknown;
    for (let i = 0; i < tries; i++) {
      try {
        const at = now();
        const { mark, changedAt } = await stateOf(paths);
        if (mark === last?.mark && !isFresh) return last;
        const texts = await Promise.all(paths.map(textOf));
        failure = undefined;
        // Never the halves of two generations.
        if ((await stateOf(paths)).mark !== mark) continue;
        isFresh = at - changedAt <= tickMs;
        const isSame = mark === last?.mark && texts.every((text, n) => text === last?.texts[n]);
        if (!isSame) last = { texts, mark };
        return last;
      } catch (error) {
        failure = error;
      }
    }
    last = undefined;
    if (failure !== undefined) throw failure;
    return undefined;
  }
}

/** One after the other, so that the same fault is found every time. */
async function stateOf(paths: readonly string[]): Promise<{ mark: string; changedAt: number }> {
  const marks: (string | bigint)[] = [];
  let changedAt = 0;
  for (const path of paths) {
    // Kubernetes swaps a Secret by another target of a link on the way.
    const real = await realpath(path);
    const stats = await stat(path, { bigint: true });
    if (!stats.isFile() || stats.size > longestPem) throw ruleOf(path);
    const { dev, ino, size, mtimeNs, ctimeNs } = stats;
    marks.push(real, dev, ino, size, mtimeNs, ctimeNs);
    changedAt = Math.max(changedAt, Number(ctimeNs / 1_000_000n));
  }
  return { mark: marks.join(' '), changedAt };
}

/** Whatever has come in its place since it was looked at: a FIFO that nobody writes is not waited for. */
async function textOf(path: string): Promise<string> {
  await using file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  if (!(await file.stat()).isFile()) throw ruleOf(path);
  const bytes = await bytesOf(file);
  if (bytes.length > longestPem) throw ruleOf(path);
  return bytes.toString('utf8');
}

/** As far as it is too much. */
async function bytesOf(file: FileHandle): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(longestPem + 1);
  let length = 0;
  while (length < buffer.length) {
    const { bytesRead } = await file.read(buffer, length, buffer.length - length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return buffer.subarray(0, length);
}

function ruleOf(path: string): Error {
  return new Error(`Cannot read "${path}": it ${pemFileRule}`);
}
