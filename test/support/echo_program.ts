import { globSync, mkdtempSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { bundle } from '../../release/bundle.ts';
import { replacements } from '../echo/replacements.ts';
import { built, installFile, type Program } from './program.ts';

const root = join(import.meta.dirname, '../..');
/** Hidden, as what is in dist/ is released. */
const folder = join(root, 'dist/.echo');
const withEcho = join(folder, 'greeter.mjs');
const preload = join(root, 'test/echo/preload.ts');

await build();

/** install() for a program that serves echo.proto as well. */
export function installEcho(): Program {
  return installFile({ file: withEcho, preload });
}

/** Builds it if it is older than the product, or than a file of test/echo. Tests may do so at the same time. */
async function build(): Promise<void> {
  const sources = globSync('test/echo/**/*.ts', { cwd: root }).map((file) => join(root, file));
  const newest = Math.max(...[built, ...sources].map(changedAt));
  if (changedAt(withEcho) >= newest) return;
  const work = mkdtempSync(`${folder}-`);
  await bundle(join(work, 'greeter.mjs'), { replacements });
  rmSync(folder, { recursive: true, force: true });
  renameSync(work, folder);
}

/** Milliseconds since the epoch; 0 for a file that does not exist. */
function changedAt(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
