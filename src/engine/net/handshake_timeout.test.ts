import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { certificate } from '../../../test/support/certificate.ts';
import { createServer } from '../../../test/support/engine.ts';
import { clientHello } from '../../../test/support/handshake.ts';

/** Connects and sends nothing. */
async function begin(port: number) {
  const socket = connect(port, '127.0.0.1').on('error', () => {});
  // It may be reset, and is closed all the same.
  const closed = new Promise<void>((resolve) => socket.resume().on('close', () => resolve()));
  await once(socket, 'connect');
  return { socket, closed };
}

// It has a file of its own, because the other tests of the listeners need not wait for it.
test('listen() with TLS ends a handshake after 10 s, whatever arrives', async (t) => {
  const hello = await clientHello();
  const reasons: string[] = [];
  const server = createServer({ onIncident: ({ reason }) => reasons.push(reason) });
  t.after(() => server.forceShutdown());
  const port = (await server.listen({ host: '127.0.0.1', port: 0 }, await certificate())) ?? 0;
  const [silent, half, slow] = await Promise.all([begin(port), begin(port), begin(port)]);

  half.socket.write(hello);
  // One byte every 100 ms would take longer.
  const bytes = hello.values();
  const writing = setInterval(() => slow.socket.write(Buffer.of(bytes.next().value ?? 0)), 100);
  await Promise.all([silent.closed, half.closed, slow.closed]);
  clearInterval(writing);

  assert.ok(hello.length > 200);
  assert.deepEqual(
    reasons,
    Array.from({ length: 3 }, () => 'handshake_timeout'),
  );
});
