import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { addresses, overlap } from './addresses.ts';

test('addresses() parses ports, hosts, IPv6 and unix sockets', () => {
  assert.deepEqual(addresses(':1, 127.0.0.1:2,[::1]:3,localhost:0,localhost:0,unix:./a.sock'), [
    { text: ':1', host: undefined, port: 1 },
    { text: '127.0.0.1:2', host: '127.0.0.1', port: 2 },
    { text: '[::1]:3', host: '[::1]', port: 3 },
    { text: 'localhost:0', host: 'localhost', port: 0 },
    { text: 'localhost:0', host: 'localhost', port: 0 },
    { text: 'unix:./a.sock', path: './a.sock' },
  ]);
});

test('addresses() rejects invalid addresses and repeated ones', () => {
  const wrong = [
    '',
    '50051',
    ':',
    ':65536',
    'a b:1',
    '::1:3',
    'unix:',
    ':1,',
    'http://a:1',
    'host:',
  ];
  wrong.push(
    '[::1]',
    '[]:1',
    '[:]:1',
    '[1.2.3.4]:1',
    '[127.0.0.1%lo]:1',
    'localhost%lo:1',
    '[::1%]:1',
    '256.0.0.1:1',
    '1.2.3.4.5:1',
  );
  wrong.push('a/b:1', 'a@b:1', '%:1', ':-1', ':1.5', ': 1');
  for (const text of wrong) {
    assert.throws(() => addresses(text), {
      message: 'must be :PORT, HOST:PORT, [V6]:PORT or unix:PATH, with commas between',
    });
  }
  assert.throws(() => addresses(':1,:2,:1'), { message: 'must not name ":1" twice' });
  assert.throws(() => addresses(':1,127.0.0.1:1'), {
    message: 'must not name ":1" and "127.0.0.1:1": they overlap',
  });
});

test('addresses() explains how to write all interfaces, and the maximum length of a unix socket path', () => {
  assert.throws(() => addresses('*:50051'), { message: 'must be :50051 for all interfaces' });
  assert.equal(addresses(`unix:${'x'.repeat(107)}`).length, 1);
  for (const path of ['x'.repeat(108), '\u00e9'.repeat(54), '/tmp/']) {
    assert.throws(() => addresses(`unix:${path}`), {
      message: 'must be unix: and the path of a file, of at most 107 bytes',
    });
  }
});

test('addresses() accepts what the system can resolve: short addresses and names of any kind', () => {
  for (const text of [
    '0:1',
    '127.1:1',
    'my_host.local:1',
    'localhost.:1',
    '[::ffff:127.0.0.1]:1',
    ' :1 ',
  ]) {
    assert.equal(addresses(text).length, 1, text);
  }
});

const [anInterface = ''] = Object.keys(networkInterfaces());

test('addresses() accepts the zone of an existing interface, and requires one for a link-local address', () => {
  const text = `[fe80::1%${anInterface}]:1`;

  assert.deepEqual(addresses(text), [{ text, host: `[fe80::1%${anInterface}]`, port: 1 }]);
  assert.throws(() => addresses('[fe80::1%none]:1'), {
    message: /^must have an interface after the %: one of \S/,
  });
  for (const host of ['[fe80::1]', '[FEBF::1]']) {
    assert.throws(() => addresses(`${host}:1`), {
      message: `must say the interface of "${host}": [fe80::1%eth0]:PORT`,
    });
  }
  assert.equal(addresses('[fe8::1]:1,[fec0::1]:1').length, 2);
});

test('addresses() rejects a path where no socket can be created, with the reason', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'greeter-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = (name: string) => join(folder, name);
  writeFileSync(path('file'), '');
  mkdirSync(path('folder'));
  const server = createServer();
  t.after(() => server.close());
  await new Promise<void>((resolve) => server.listen(path('socket'), resolve));

  const refused: [string, string][] = [
    ['no/a.sock', `must be in a folder that exists: "${path('no')}" does not`],
    ['file/a.sock', `must be in a folder, and "${path('file')}" is none`],
    ['folder', `must be free: "${path('folder')}" is not a socket`],
    ['file', `must be free: "${path('file')}" is not a socket`],
  ];

  for (const [name, message] of refused) {
    assert.throws(() => addresses(`unix:${path(name)}`), { message });
  }
  assert.throws(() => addresses('unix:@name'), {
    message: 'must be the path of a file, unix:./@name: abstract sockets are not served',
  });
  // The path is valid even if another server listens there, as that may end before the start.
  assert.equal(addresses(`unix:${path('socket')},unix:${path('./@name')}`).length, 2);
});

test('overlap() finds addresses that cannot be listened on together', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'greeter-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const pairs: [string, string, boolean][] = [
    [':1', ':1', true],
    [':1', ':2', false],
    [':0', ':0', false],
    [':0', '127.0.0.1:0', false],
    [':1', 'localhost:1', true],
    [':1', '0.0.0.0:1', true],
    ['[::]:1', '10.0.0.1:1', true],
    ['0.0.0.0:1', '127.0.0.1:1', true],
    ['0:1', '127.1:1', true],
    ['0.0.0.0:1', '[::1]:1', false],
    ['127.0.0.1:1', '127.1:1', true],
    ['127.0.0.1:1', '127.0.0.2:1', false],
    ['[::1]:1', '[0:0::1]:1', true],
    ['[::ffff:127.0.0.1]:1', '127.0.0.1:1', true],
    ['[::ffff:0.0.0.0]:1', '127.0.0.1:1', true],
    ['[::ffff:7f00:1]:1', '[::1]:1', false],
    [`[::1%${anInterface}]:1`, '[::1]:1', true],
    [`[fe80::1%${anInterface}]:1`, `[fe80:0::1%${anInterface}]:1`, true],
    [`[fe80::1%${anInterface}]:1`, `[fe80::2%${anInterface}]:1`, false],
    ['LOCALHOST:1', 'localhost:1', true],
    [`unix:${folder}/a`, `unix:${folder}/../${basename(folder)}/a`, true],
    [`unix:${folder}/a`, `unix:${folder}/b`, false],
    [`unix:${folder}/a`, ':1', false],
  ];
  for (const [one, other, expected] of pairs) {
    const [a] = addresses(one);
    const [b] = addresses(other);
    assert.ok(a && b);
    assert.deepEqual([overlap(a, b), overlap(b, a)], [expected, expected], `${one} ${other}`);
  }
});
