import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { TestContext } from 'node:test';

/** The root of this project. */
export const projectRoot = join(import.meta.dirname, '../..');

/** A copy of the project without history and build output; it is removed after the test. */
export function copyOfProject(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'greeter-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const left = ['node_modules', 'dist', '.git'];
  cpSync(projectRoot, folder, {
    recursive: true,
    filter: (source) => source === projectRoot || !left.includes(basename(source)),
  });
  symlinkSync(join(projectRoot, 'node_modules'), join(folder, 'node_modules'));
  return folder;
}
