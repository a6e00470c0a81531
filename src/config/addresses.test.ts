import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addresses } from './addresses.ts';

test('addresses() reads ports, hosts, IPv6 and unix sockets', () => {
  assert.deepEqual(addresses(':1, 127.0.0.1:2,[::1]:3,localhost:0,localhost:0,unix:/tmp/a.sock'), [
    { text: ':1', host: undefined, port: 1 },
    { text: '127.0.0.1:2', host: '127.0.0.1', port: 2 },
    { text: '[::1]:3', host: '[::1]', port: 3 },
    { text: 'localhost:0', host: 'localhost', port: 0 },
    { text: 'localhost:0', host: 'localhost', port: 0 },
    { text: 'unix:/tmp/a.sock', path: '/tmp/a.sock' },
  ]);
});

test('addresses() refuses what is none, and one that is named twice', () => {
  for (const text of ['', '50051', ':', ':65536', 'a b:1', '::1:3', 'unix:', ':1,', 'http://a:1']) {
    assert.throws(() => addresses(text), {
      message: 'must be :PORT, HOST:PORT, [V6]:PORT or unix:PATH, with commas between',
    });
  }
  assert.throws(() => addresses(':1,:2,:1'), { message: 'must not name ":1" twice' });
});
