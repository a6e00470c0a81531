// Writes dist/SHA256SUMS of all that is beside it, as `sha256sum --check` reads it, and prints what
// there is: node release/checksums.ts
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const folder = 'dist';
const sums = 'SHA256SUMS';

const lines = readdirSync(folder)
  .filter((name) => name !== sums)
  .toSorted()
  .map((name) => {
    const bytes = readFileSync(join(folder, name));
    console.log(`${bytes.length.toString().padStart(12)} ${folder}/${name}`);
    return `${createHash('sha256').update(bytes).digest('hex')}  ${name}\n`;
  });
writeFileSync(join(folder, sums), lines.join(''));
