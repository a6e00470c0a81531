import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { test } from 'node:test';
import { unreadBytes } from './socket_buffers.ts';

test('unreadBytes() counts the buffers of a TLS socket, each of which may have a single byte', () => {
  const [plain, tls] = [new Socket(), Object.assign(new Socket(), { encrypted: true })];
  for (const socket of [plain, tls]) {
    for (let i = 0; i < 3; i++) socket.push(Buffer.from('x'));
  }

  assert.equal(unreadBytes(plain), 3);
  assert.equal(unreadBytes(tls), 3 + 3 * 200);
});
