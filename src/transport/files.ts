import { constants } from 'node:fs';
import { type FileHandle, open, realpath, stat } from 'node:fs/promises';
import { abortable } from 'abort-controller-x';
import { longestPem, pemFileRule } from '../certificates.ts';

/** The contents of files at one moment. */
export interface Snapshot {
  /** In the order of their paths. */
  texts: readonly string[];
  /** Identifies this state of the files. */
  mark: string;
}

interface FilesOptions {
  /** Milliseconds since the epoch. */
  now: () => number;
  /** Creates the signal that aborts a read that takes too long. */
  createSignal?: () => AbortSignal;
}

/** The coarsest timestamps of file systems, in milliseconds: two changes within it may look like one. */
const tickMs = 2000;

/** The number of attempts if files change while they are read. */
const tries = 3;

/** The time limit of a hanging file system, in milliseconds. */
const timeoutMs = 5000;

/**
 * Creates a reader of PEM files that belong together; they must be regular files. It returns the same snapshot while
 * they are unchanged, usually without reading them, and undefined while they change. Throws Node's own errors.
 */
export function createFiles(
  paths: readonly string[],
  { now, createSignal = () => AbortSignal.timeout(timeoutMs) }: FilesOptions,
): () => Promise<Snapshot | undefined> {
  let last: Snapshot | undefined;
  let isFresh = true;
  let reading: Promise<Snapshot | undefined> | undefined;

  return async () => {
    const signal = createSignal();
    // A hanging read blocks one of Node's few threads, so there is only one at a time.
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
        // Never mixes two generations.
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

/** Sequentially, so that the same error is found every time. */
async function stateOf(paths: readonly string[]): Promise<{ mark: string; changedAt: number }> {
  const marks: (string | bigint)[] = [];
  let changedAt = 0;
  for (const path of paths) {
    // Kubernetes updates a Secret by replacing a symbolic link.
    const real = await realpath(path);
    const stats = await stat(path, { bigint: true });
    if (!stats.isFile() || stats.size > longestPem) throw ruleOf(path);
    const { dev, ino, size, mtimeNs, ctimeNs } = stats;
    marks.push(real, dev, ino, size, mtimeNs, ctimeNs);
    changedAt = Math.max(changedAt, Number(ctimeNs / 1_000_000n));
  }
  return { mark: marks.join(' '), changedAt };
}

/** Opened without blocking, as the file may have been replaced by a FIFO. */
async function textOf(path: string): Promise<string> {
  await using file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  if (!(await file.stat()).isFile()) throw ruleOf(path);
  const bytes = await bytesOf(file);
  if (bytes.length > longestPem) throw ruleOf(path);
  return bytes.toString('utf8');
}

/** Reads up to one byte more than the limit. */
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
