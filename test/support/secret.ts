import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A folder like a mounted Kubernetes Secret: the files are links through `..data`. */
export interface Secret extends Disposable {
  path(name: string): string;
  /** Replaces all files at once. */
  swap(files: Record<string, string>): void;
}

/** Mounts a Secret with these files; replacements have the same names. */
export function mountSecret(files: Record<string, string>): Secret {
  const folder = mkdtempSync(join(tmpdir(), 'greeter-secret-'));
  let generation = 0;
  swap(files);
  for (const name of Object.keys(files)) symlinkSync(`..data/${name}`, join(folder, name));

  return {
    path: (name) => join(folder, name),
    swap,
    [Symbol.dispose]: () => rmSync(folder, { recursive: true }),
  };

  function swap(next: Record<string, string>): void {
    const last = `..${generation++}`;
    const now = join(folder, `..${generation}`);
    mkdirSync(now);
    for (const [name, text] of Object.entries(next)) writeFileSync(join(now, name), text);
    symlinkSync(`..${generation}`, join(folder, '..data_tmp'));
    renameSync(join(folder, '..data_tmp'), join(folder, '..data'));
    rmSync(join(folder, last), { recursive: true, force: true });
  }
}
