import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient } from 'nice-grpc';
import { certificate } from '../../../test/support/certificate.ts';
import { serve } from '../../../test/support/harness.ts';
import { EchoDefinition } from '../../../test/echo/gen/echo.ts';
import { dial } from '../../transport/client.ts';

const [own, signer] = await Promise.all([certificate(), certificate({ name: 'authority' })]);
const spiffe = 'spiffe://example.org/ns/shop/sa/cart';

/** Makes a call over TLS with a certificate of these names; returns its log line. */
async function lineOf(names: Parameters<typeof certificate>[0], engine: 'direct' | 'grpc-js') {
  const pair = await certificate({ ...names, signer });
  await using running = await serve({
    engine,
    tls: { ...own, clientCa: signer.cert },
    echo: {
      async unary(_request, { log }) {
        log.info('here');
        return {};
      },
    },
  });
  const clientCertificate = { cert: Buffer.from(pair.cert), key: Buffer.from(pair.key) };
  const tls = { ca: Buffer.from(own.cert), clientCertificate };
  const channel = dial({ address: running.address, tls });
  await createClient(EchoDefinition, channel).unary({});
  channel.close();
  const { client: here } = await running.log.line({ msg: 'here' });
  const { client } = await running.log.line({ msg: 'call ended' });
  assert.equal(here, client);
  return client;
}

for (const [what, names, expected] of [
  ['a URI before all', { uris: [spiffe, 'urn:x'], dns: ['cart.test'], name: 'cart' }, spiffe],
  [
    'a DNS name before the common name',
    { dns: ['cart.test', 'b.test'], name: 'cart' },
    'cart.test',
  ],
  ['the common name when there is no other', { dns: [], name: 'cart' }, 'cart'],
  ['a common name that reads as a URI as what it is', { dns: [], name: spiffe }, `CN=${spiffe}`],
  ['no DNS name that reads as a URI', { dns: [spiffe, 'cart.test'], name: '' }, 'cart.test'],
  [
    'a common name with its kind, not a wrong DNS name',
    { dns: [spiffe], name: 'urn:x' },
    'CN=urn:x',
  ],
  ['none for a certificate without names', { dns: [], name: '' }, undefined],
  [
    'a URI with commas and quotes whole',
    { uris: ['urn:a, DNS:b"c'], name: 'cart' },
    'urn:a, DNS:b"c',
  ],
] as const) {
  test(`clientName() is logged: ${what}`, async () => {
    assert.equal(await lineOf(names, 'direct'), expected);
  });
}

test('clientName() is undefined on grpc-js and without a certificate', async () => {
  await using running = await serve();

  await running.client.unary({});

  assert.equal('client' in (await running.log.line({ 'rpc.status_code': 'OK' })), false);
  assert.equal(await lineOf({ uris: [spiffe] }, 'grpc-js'), undefined);
});
