import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { agreed } from './support/agreement.ts';
import { install } from './support/program.ts';

/** Runs the following command without root's capabilities, which override file permissions. */
const withoutPowers =
  process.getuid?.() === 0 ? ['setpriv', '--bounding-set=-dac_override,-dac_read_search'] : [];

const folder = mkdtempSync(join(tmpdir(), 'greeter-'));
const [locked, theirs] = [join(folder, 'locked'), join(folder, 'theirs')];
const other = createServer();

before(async () => {
  mkdirSync(locked);
  chmodSync(locked, 0o500);
  await new Promise<void>((resolve) => other.listen(theirs, resolve));
  chmodSync(theirs, 0);
});
after(() => {
  other.close();
  rmSync(folder, { recursive: true });
});

/** Settings that both commands reject, and the end of their error. */
const refused: [args: string, rule: string][] = [
  ['--listen :1 --admin-listen :1', 'must not be one of --listen as well'],
  ['--listen :1 --health-listen :1', 'must not be one of --listen as well'],
  ['--listen localhost:1,127.0.0.1:1', 'must not overlap "localhost:1" of --listen'],
  ['--listen localhost:1 --admin-listen 127.1:1', 'must not overlap "localhost:1" of --listen'],
  ['--listen [::]:1,0.0.0.0:1', 'must not name "[::]:1" and "0.0.0.0:1": they overlap'],
  [
    '--listen [::ffff:127.0.0.1]:1,127.0.0.1:1',
    'must not name "[::ffff:127.0.0.1]:1" and "127.0.0.1:1": they overlap',
  ],
  ['--listen a..b:1', 'must have a name that is known: getaddrinfo ENOTFOUND a..b'],
  ['--listen unix:no/a.sock', 'must be in a folder that exists: "no" does not'],
  [
    `--listen unix:${locked}/a.sock`,
    `must be in a folder that can be written to: "${locked}" cannot`,
  ],
  [`--listen unix:${theirs}`, `must be free: "${theirs}" is the socket of another user`],
  [`--admin-listen unix:${locked}`, `must be free: "${locked}" is not a socket, or off`],
  [
    `--listen unix:${'x'.repeat(120)}`,
    'must be unix: and the path of a file, of at most 107 bytes',
  ],
  [
    '--listen unix:@abstract',
    'must be the path of a file, unix:./@abstract: abstract sockets are not served',
  ],
  ['--listen [fe80::1]:1', 'must say the interface of "[fe80::1]": [fe80::1%eth0]:PORT'],
];

const loopback = Object.entries(networkInterfaces()).find(([, all = []]) => all[0]?.internal);
const taken = ['127.0.0.1:0', `[::1%${loopback?.[0]}]:0`, 'localhost:0', 'unix:./@a.sock'];

void suite('check-config and serve agree', { concurrency: 4 }, () => {
  for (const [args, rule] of refused) {
    test(`on refusing ${args.replace(folder, 'FOLDER')}`, async () => {
      using program = install();
      const launcher = args.includes(folder) ? withoutPowers : [];

      const { code, said } = await agreed(program, { args: args.split(' '), launcher });

      assert.match(said, /^Cannot start with these settings:\n {2}--[^\n]*\n$/);
      assert.ok(said.endsWith(`: ${rule}\n`), said);
      assert.equal(code, 2);
    });
  }

  for (const address of taken) {
    test(`on taking --listen ${address}`, async () => {
      using program = install();

      const { code, said } = await agreed(program, { args: ['--listen', address] });

      assert.deepEqual([code, said], [0, '']);
    });
  }
});
