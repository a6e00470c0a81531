import { readFile, realpath, stat } from 'node:fs/promises';

/** What files held at one moment. */
export interface Snapshot {
  /** In the order of their paths. */
  texts: readonly string[];
  /** Names this state of the files; another state has another name. */
  mark: string;
}

/** A file system's clock may tick in steps as long as this: what changes twice in one looks the same. */
const tickMs = 2000;

/** Files that change under our hands are looked at again so often, before the next time. */
const tries = 3;

/**
 * Makes what reads files that belong together. It gives undefined while they are as they were the last
 * time, which costs no reading, or while they change; it throws Node's own errors. `now` gives
 * milliseconds since the epoch.
 */
export function createFiles(
  paths: readonly string[],
  now: () => number,
): () => Promise<Snapshot | undefined> {
  let seen: string | undefined;

  return async () => {
    let failure: unknown;
    for (let i = 0; i < tries; i++) {
      try {
        const at = now();
        const { mark, changedAt } = await stateOf(paths);
        if (mark === seen) return undefined;
        const texts = await Promise.all(paths.map((path) => readFile(path, 'utf8')));
        failure = undefined;
        // Never the halves of two generations.
        if ((await stateOf(paths)).mark !== mark) continue;
        seen = at - changedAt > tickMs ? mark : undefined;
        return { texts, mark };
      } catch (error) {
        failure = error;
      }
    }
    seen = undefined;
    if (failure !== undefined) throw failure;
    return undefined;
  };
}

/** One after the other, so that the same fault is found every time. */
async function stateOf(paths: readonly string[]): Promise<{ mark: string; changedAt: number }> {
  const marks: (string | bigint)[] = [];
  let changedAt = 0;
  for (const path of paths) {
    // Kubernetes swaps a Secret by another target of a link on the way.
    const real = await realpath(path);
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
    marks.push(real, dev, ino, size, mtimeNs, ctimeNs);
    changedAt = Math.max(changedAt, Number(ctimeNs / 1_000_000n));
  }
  return { mark: marks.join(' '), changedAt };
}
