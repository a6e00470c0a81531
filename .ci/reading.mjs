// Prints the test files that read a variable of the environment, themselves or by a file of ours that
// they name: node .ci/reading.mjs VARIABLE PATTERN... With another value of it, all others would only
// do again what they have done. Fails where no file reads it.
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const [variable = '', ...patterns] = process.argv.slice(2);
const reads = new RegExp(`process\\.env\\['${variable}'\\]|process\\.env\\.${variable}\\b`);

const found = globSync(patterns)
  .toSorted()
  .filter((file) => [...withAllNamedBy(file)].some((each) => reads.test(textOf(each))));
if (found.length === 0) throw new Error(`Cannot choose tests: none reads "${variable}"`);
console.log(found.join('\n'));

/**
 * A file, and all that it imports or starts as a process of its own.
 *
 * @param {string} file
 */
function withAllNamedBy(file) {
  const all = new Set([file]);
  for (const each of all) {
    for (const [, name = ''] of textOf(each).matchAll(/['"`]([\w./-]+\.ts)['"`]/g)) {
      const path = join(dirname(each), name);
      if (existsSync(path)) all.add(path);
    }
  }
  return all;
}

/** @param {string} file */
function textOf(file) {
  return readFileSync(file, 'utf8');
}
