// Prints the test files that read an environment variable, directly or in a file of this project that
// they import or start: node .ci/reading.mjs VARIABLE PATTERN... Only these tests need to run again with
// another value of the variable. Fails if no file reads it.
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const [variable = '', ...patterns] = process.argv.slice(2);
const reads = new RegExp(`process\\.env\\['${variable}'\\]|process\\.env\\.${variable}\\b`);

const found = globSync(patterns)
  .toSorted()
  .filter((file) => [...withReferencedFiles(file)].some((each) => reads.test(textOf(each))));
if (found.length === 0) throw new Error(`Cannot choose tests: none reads "${variable}"`);
console.log(found.join('\n'));

/**
 * The file and all files that it imports or starts as a process, transitively.
 *
 * @param {string} file
 */
function withReferencedFiles(file) {
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
