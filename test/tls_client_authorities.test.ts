import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkClientAuthorities } from '../src/certificates.ts';
import type { TlsFiles } from '../src/engine/net/tls_options.ts';
import type { EngineName } from '../src/transport/engine_types.ts';
import { certificate } from './support/certificate.ts';
import { handshake } from './support/handshake.ts';
import { createEngine } from './support/engine.ts';

/** A server without methods, to observe handshakes. */
async function serveTls(engine: EngineName, files: TlsFiles) {
  const server = await createEngine(engine, { maxConcurrentStreams: 10, maxMessageSize: 1024 });
  const port = (await server.listen({ host: '127.0.0.1', port: 0 }, files)) ?? 0;
  return { port, [Symbol.dispose]: () => server.forceShutdown() };
}

const root = await certificate({ name: 'root' });
const intermediate = await certificate({ name: 'intermediate', signer: root, isAuthority: true });
const [own, ofIntermediate, ofRoot] = await Promise.all([
  certificate(),
  certificate({ name: 'client', signer: intermediate }),
  certificate({ name: 'client', signer: root }),
]);

for (const engine of ['direct', 'grpc-js'] as const) {
  test(`client CAs without a root accept no client, so they are rejected, on ${engine}`, async () => {
    using running = await serveTls(engine, { ...own, clientCa: intermediate.cert });

    const taken = await handshake(running.port, ofIntermediate);

    assert.ok('refused' in taken);
    assert.throws(() => checkClientAuthorities(intermediate.cert), /^Error: must hold a root/);
  });

  test(`a client whose CA is a root must send its intermediates, on ${engine}`, async () => {
    using running = await serveTls(engine, { ...own, clientCa: root.cert });
    const isTaken = async (client: typeof own) =>
      'serial' in (await handshake(running.port, client));

    assert.equal(await isTaken(ofRoot), true);
    const chain = `${ofIntermediate.cert}\n${intermediate.cert}`;
    assert.equal(await isTaken({ ...ofIntermediate, cert: chain }), true);
    assert.equal(await isTaken(ofIntermediate), false);
  });
}
