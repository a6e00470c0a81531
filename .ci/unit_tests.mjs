// Runs the tests of src/ that can share a process, which saves the start of a process for each file. Others change what
// tests of the same process would see, or start programs: `node .ci/unit_tests.mjs --others` prints their files.
import { globSync } from 'node:fs';
import { join } from 'node:path';

const files = globSync('src/**/*.test.ts').toSorted();
const others = new Set([
  ...globSync('src/{engine/{grpc,net},observability,services,transport}/**/*.test.ts'),
  ...globSync('src/**/*.e2e.test.ts'),
]);

if (process.argv[2] === '--others') console.log([...others].join('\n'));
else {
  for (const file of files) {
    if (!others.has(file)) await import(join(process.cwd(), file));
  }
}
