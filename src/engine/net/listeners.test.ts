import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { certificate } from '../../../test/support/certificate.ts';
import { clientHello, dialTls, handshake, heard } from '../../../test/support/handshake.ts';
import type { GrpcServerOptions } from '../grpc/server.ts';
import { Listeners } from './listeners.ts';
import type { TlsFiles } from './tls_options.ts';
import { createServer } from '../../../test/support/engine.ts';

/** A server without methods, to observe connections. */
async function serveTls(files: TlsFiles, options?: Partial<GrpcServerOptions>) {
  const server = createServer(options);
  const port = (await server.listen({ host: '127.0.0.1', port: 0 }, files)) ?? 0;
  return { server, port, [Symbol.dispose]: () => server.forceShutdown() };
}

const hello = await clientHello();

/** Connects and sends nothing. */
async function begin(port: number, localAddress = '127.0.0.1') {
  const socket = connect({ port, host: '127.0.0.1', localAddress }).on('error', () => {});
  // It may be reset by a busy server, and is closed all the same.
  const closed = new Promise<void>((resolve) => socket.resume().on('close', () => resolve()));
  await once(socket, 'connect');
  return { socket, closed, peer: `${socket.localAddress}:${socket.localPort}` };
}

/** Connects several times, one after the other. */
async function beginOneByOne(port: number, count: number) {
  const begun = [];
  while (begun.length < count) begun.push(await begin(port));
  return begun;
}

const tls12 = { maxVersion: 'TLSv1.2' } as const;

test('listen() with TLS accepts TLS 1.3 and 1.2, and refuses 1.1', async () => {
  using running = await serveTls(await certificate());
  const old = {
    minVersion: 'TLSv1.1',
    maxVersion: 'TLSv1.1',
    ciphers: 'ALL@SECLEVEL=0',
  } as const;

  const newest = await handshake(running.port);
  const older = await handshake(running.port, tls12);

  assert.partialDeepStrictEqual(newest, { protocol: 'TLSv1.3', alpn: 'h2' });
  assert.partialDeepStrictEqual(older, { protocol: 'TLSv1.2', alpn: 'h2' });
  assert.deepEqual(await handshake(running.port, old), {
    refused: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION',
  });
});

test('listen() with TLS 1.2 accepts ephemeral keys with AEAD, and refuses CBC, DHE and RSA keys', async () => {
  using running = await serveTls(await certificate());
  const dial = (ciphers: string) => handshake(running.port, { ...tls12, ciphers });

  for (const [ciphers, cipher] of [
    ['ECDHE-RSA-AES128-GCM-SHA256', 'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256'],
    ['ECDHE-RSA-AES256-GCM-SHA384', 'TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384'],
    ['ECDHE-RSA-CHACHA20-POLY1305', 'TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256'],
  ] as const) {
    assert.partialDeepStrictEqual(await dial(ciphers), { cipher });
  }
  for (const ciphers of ['ECDHE-RSA-AES128-SHA256', 'AES128-GCM-SHA256', 'AES128-SHA']) {
    assert.partialDeepStrictEqual(
      await dial(ciphers),
      { refused: 'ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE' },
      ciphers,
    );
  }
});

test('listen() with TLS refuses ALPN without h2, and accepts a client without ALPN', async () => {
  using running = await serveTls(await certificate());

  const other = await handshake(running.port, { ALPNProtocols: ['http/1.1'] });
  const none = await handshake(running.port, { ALPNProtocols: [] });
  const both = await handshake(running.port, { ALPNProtocols: ['http/1.1', 'h2'] });

  assert.deepEqual(other, { refused: 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL' });
  assert.partialDeepStrictEqual(none, { alpn: false });
  assert.partialDeepStrictEqual(both, { alpn: 'h2' });
});

test('listen() with TLS 1.2 refuses renegotiation', async () => {
  using running = await serveTls(await certificate());
  const socket = dialTls(running.port, tls12);
  await heard(socket);

  const ended = new Promise((resolve) => {
    socket.on('error', ({ message }) => resolve(message));
    socket.renegotiate({}, () => resolve('renegotiated'));
  });
  socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

  assert.match(String(await ended), /no renegotiation/);
  socket.destroy();
});

test('listen() with TLS counts a connection after its handshake', async () => {
  using running = await serveTls(await certificate(), { maxConnections: 1 });
  const silent = await Promise.all([1, 2, 3].map(() => begin(running.port)));

  const taken = await handshake(running.port);

  assert.partialDeepStrictEqual(taken, { protocol: 'TLSv1.3' });
  for (const { socket } of silent) socket.destroy();
});

test('listen() with TLS serves another address first, and reports what it drops once', async () => {
  const incidents: unknown[] = [];
  const options = { maxHandshakes: 3, onIncident: (event: unknown) => incidents.push(event) };
  using running = await serveTls(await certificate(), options);
  const [oldest, ...more] = await beginOneByOne(running.port, 3);
  oldest?.socket.write(hello);
  await once(oldest?.socket ?? assert.fail('none'), 'data');

  const taken = await handshake(running.port, { localAddress: '127.0.0.2' });
  await oldest?.closed;

  assert.partialDeepStrictEqual(taken, { protocol: 'TLSv1.3' });
  assert.deepEqual(
    more.map(({ socket }) => socket.closed),
    [false, false],
  );
  const message = 'Cannot accept more than 3 TLS handshakes at once';
  assert.deepEqual(incidents, [{ reason: 'handshake_dropped', message, peer: oldest?.peer }]);
  for (const { socket } of more) socket.destroy();
});

test('listen() with TLS completes the handshakes of a burst of clients', async () => {
  const reasons: unknown[] = [];
  const onIncident = ({ reason }: { reason: string }) => reasons.push(reason);
  using running = await serveTls(await certificate(), { maxHandshakes: 10, onIncident });

  // As many at a time as the queue holds.
  const all = await Promise.all(Array.from({ length: 50 }, () => handshake(running.port)));

  assert.deepEqual(
    all.filter((each) => 'refused' in each),
    [],
  );
  assert.deepEqual(reasons, []);
});

test('listen() with TLS drops handshakes of more than a second in favour of queued ones', async () => {
  const reasons: unknown[] = [];
  const onIncident = ({ reason }: { reason: string }) => reasons.push(reason);
  using running = await serveTls(await certificate(), { maxHandshakes: 2, onIncident });
  const slow = await beginOneByOne(running.port, 2);

  const taken = await handshake(running.port);

  assert.partialDeepStrictEqual(taken, { protocol: 'TLSv1.3' });
  assert.deepEqual(reasons, ['handshake_dropped']);
  for (const { socket } of slow) socket.destroy();
});

test('listen() with TLS drops no handshake in favour of an address with as many', async () => {
  using running = await serveTls(await certificate(), { maxHandshakes: 2 });
  const slow = await begin(running.port, '127.0.0.2');
  const other = await begin(running.port);

  const taken = await handshake(running.port);

  assert.partialDeepStrictEqual(taken, { protocol: 'TLSv1.3' });
  await other.closed;
  assert.equal(slow.socket.closed, false);
  slow.socket.destroy();
});

test('listen() with TLS refuses sockets when the queue is full', async () => {
  const reasons: unknown[] = [];
  const onIncident = ({ reason }: { reason: string }) => reasons.push(reason);
  using running = await serveTls(await certificate(), { maxHandshakes: 1, onIncident });
  const waiting = await beginOneByOne(running.port, 5);

  const last = await begin(running.port);
  await last.closed;

  assert.ok(waiting.every(({ socket }) => !socket.closed));
  assert.deepEqual(reasons, ['handshake_dropped']);
  for (const { socket } of waiting) socket.destroy();
});

test('listen() with TLS never drops a connection after its handshake, even on a unix socket', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'greeter-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const files = await certificate();
  using running = await serveTls(files, { maxHandshakes: 1 });
  const path = join(folder, 'grpc.sock');
  await running.server.listen({ path }, files);

  const finished: TLSSocket[] = [];
  for (const options of [{}, { path }, {}, { path }]) {
    const socket = dialTls(running.port, options);
    finished.push(socket);
    await heard(socket);
  }
  const [first, second] = await beginOneByOne(running.port, 2);
  await first?.closed;
  second?.socket.destroy();

  assert.ok(finished.every(({ closed }) => !closed));
  for (const socket of finished) socket.destroy();
});

test('setTls() affects later handshakes only', async () => {
  const [first, second] = await Promise.all([certificate(), certificate()]);
  using running = await serveTls(first);
  const open = dialTls(running.port);
  await heard(open);
  const before = await handshake(running.port);

  running.server.setTls?.(second);

  const after = await handshake(running.port);
  assert.ok('serial' in before && 'serial' in after);
  assert.notEqual(after.serial, before.serial);
  assert.partialDeepStrictEqual(after, { protocol: 'TLSv1.3', alpn: 'h2' });
  // The cipher suites are unchanged.
  const cbc = await handshake(running.port, { ...tls12, ciphers: 'ECDHE-RSA-AES128-SHA256' });
  assert.ok('refused' in cbc);
  assert.equal(open.destroyed, false);
  open.destroy();
});

test('setTls() with other client CAs refuses old clients, even with saved sessions', async () => {
  const [own, oldCa, newCa] = await Promise.all([
    certificate(),
    certificate({ name: 'authority' }),
    certificate({ name: 'authority' }),
  ]);
  const [oldClient, newClient] = await Promise.all([
    certificate({ signer: oldCa }),
    certificate({ signer: newCa }),
  ]);
  using running = await serveTls({ ...own, clientCa: oldCa.cert });
  const socket = dialTls(running.port, oldClient);
  const session = await new Promise<Buffer>((resolve) => socket.on('session', resolve));
  const resumes = { ...oldClient, session };
  assert.ok('serial' in (await handshake(running.port, resumes)));

  running.server.setTls?.({ ...own, clientCa: newCa.cert });

  assert.ok('refused' in (await handshake(running.port, resumes)));
  assert.ok('refused' in (await handshake(running.port)));
  const known = dialTls(running.port, newClient);
  const next = await new Promise<Buffer>((resolve) => known.on('session', resolve));
  assert.partialDeepStrictEqual(await handshake(running.port, { ...newClient, session: next }), {
    protocol: 'TLSv1.3',
    resumed: false,
  });
  known.destroy();
  socket.destroy();
});

for (const kind of ['without TLS', 'with TLS'] as const) {
  test(`a paused socket buffers no more than it had when it was paused (${kind})`, async (t) => {
    const files = kind === 'with TLS' ? await certificate() : undefined;
    const accepted = Promise.withResolvers<Socket>();
    const listeners = new Listeners({ maxHandshakes: 1, onSocket: accepted.resolve });
    t.after(() => listeners.close());
    const port = await listeners.listen({ host: '127.0.0.1', port: 0 }, files);
    const client = files
      ? connectTls({
          port: Number(port),
          host: '127.0.0.1',
          rejectUnauthorized: false,
          ALPNProtocols: ['h2'],
        })
      : connect({ port: Number(port), host: '127.0.0.1' });
    client.setNoDelay(true).on('error', () => {});
    const socket = await accepted.promise;
    t.after(() => void socket.destroy());
    socket.on('error', () => {}).on('data', () => {});
    socket.pause();

    // Each of them arrives alone.
    for (let count = 0; count < 100; count++) {
      await new Promise((resolve) => client.write('x', resolve));
      await setImmediate();
    }
    await setImmediate();

    client.destroy();
    assert.ok(socket.readableLength <= 2, `${socket.readableLength} bytes`);
  });
}
