import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import type { ConnectionOptions } from 'node:tls';
import type { TlsFiles } from '../src/engine/net/tls_options.ts';
import { certificate } from './support/certificate.ts';
import { dialTls, handshake, heard } from './support/handshake.ts';
import { engineName, eventually } from './support/harness.ts';
import { createEngine } from './support/engine.ts';

const protocols = ['TLSv1.2', 'TLSv1.3'] as const;

/** A server without methods on the engine under test, to observe sessions. */
async function serveTls(files: TlsFiles) {
  const server = await createEngine(engineName, { maxConcurrentStreams: 10, maxMessageSize: 1024 });
  const port = (await server.listen({ host: '127.0.0.1', port: 0 }, files)) ?? 0;
  return { port, [Symbol.dispose]: () => server.forceShutdown() };
}

/** All sessions that a client can get: that of the handshake, and those of tickets. */
async function sessionsOf(port: number, options: ConnectionOptions): Promise<Buffer[]> {
  const socket = dialTls(port, options);
  const sessions: Buffer[] = [];
  socket.on('session', (session: Buffer) => sessions.push(session));
  await heard(socket);
  const last = socket.getSession();
  if (last) sessions.push(last);
  socket.destroy();
  await once(socket, 'close');
  return sessions;
}

async function mutualTls(about: { notAfter?: Date } = {}) {
  const authority = await certificate({ name: 'authority' });
  const [own, client] = await Promise.all([
    certificate(),
    certificate({ ...about, signer: authority }),
  ]);
  return { files: { ...own, clientCa: authority.cert }, client };
}

for (const protocol of protocols) {
  const only = { minVersion: protocol, maxVersion: protocol };

  test(`a server without client CAs resumes a ${protocol} session`, async () => {
    using server = await serveTls(await certificate());
    const [session] = await sessionsOf(server.port, only);

    const again = await handshake(server.port, { ...only, session });

    assert.partialDeepStrictEqual(again, { protocol, resumed: true });
  });

  test(`a server with client CAs resumes no ${protocol} session`, async () => {
    const { files, client } = await mutualTls();
    using server = await serveTls(files);
    const sessions = await sessionsOf(server.port, { ...only, ...client });
    assert.ok(sessions.length > 0);

    for (const session of sessions) {
      const again = await handshake(server.port, { ...only, ...client, session });
      const without = await handshake(server.port, { ...only, session });

      assert.partialDeepStrictEqual(again, { protocol, resumed: false });
      assert.ok('refused' in without);
    }
  });

  test(`a ${protocol} session does not outlive the client's certificate`, async () => {
    const notAfter = new Date(Date.now() + 4000);
    const { files, client } = await mutualTls({ notAfter });
    using server = await serveTls(files);
    const dialled = { ...only, ...client };
    const sessions = await sessionsOf(server.port, dialled);

    await eventually('the end of the certificate', async () => {
      return 'refused' in (await handshake(server.port, dialled));
    });

    for (const session of sessions) {
      assert.ok('refused' in (await handshake(server.port, { ...dialled, session })));
    }
  });
}
