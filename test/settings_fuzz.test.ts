import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { agreed } from './support/agreement.ts';
import { createRandom } from './hpack/random.ts';
import { install } from './support/program.ts';
import { randomSettings, secret, writeFiles } from './support/random_settings.ts';

/** `FUZZ_SEED=… FUZZ_SESSIONS=1` repeats a failure. */
const seed = Number(process.env['FUZZ_SEED'] ?? 1);
const sessions = Number(process.env['FUZZ_SESSIONS'] ?? 30);
const atOnce = 2;

test('check-config and serve agree on random settings, without a stack trace or a secret', async (t) => {
  using program = install();
  const folder = mkdtempSync(join(tmpdir(), 'greeter-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const files = await writeFiles(folder);
  const counts = { 0: 0, 2: 0 };
  const left = Array.from({ length: sessions }, (_, session) => seed + session).values();

  await Promise.all(Array.from({ length: atOnce }, work));

  t.diagnostic(`accepted ${counts[0]}, refused ${counts[2]}`);
  // Enough settings must be valid.
  if (sessions > 20) assert.ok(counts[0] * 2 >= counts[2], JSON.stringify(counts));

  async function work(): Promise<void> {
    for (const session of left) {
      const given = randomSettings(createRandom(session), files);
      try {
        const { code, said, printed } = await agreed(program, given);
        assert.ok(!printed.includes(secret), `a secret is printed: ${printed}`);
        assert.ok(code === 0 || code === 2, said);
        counts[code]++;
      } catch (cause) {
        const settings = JSON.stringify(given);
        throw new Error(`FUZZ_SEED=${session} FUZZ_SESSIONS=1: ${settings}`, { cause });
      }
    }
  }
});
