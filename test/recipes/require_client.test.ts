import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient } from 'nice-grpc';
import { ClientError, Status } from 'nice-grpc-common';
import { requireClient } from '../../recipes/require_client.ts';
import { dial } from '../../src/transport/client.ts';
import { certificate } from '../support/certificate.ts';
import { EchoDefinition } from '../echo/gen/echo.ts';
import { serveBehind } from './serve.ts';

const path = '/echo.Echo/Unary';
const cart = 'spiffe://example.org/ns/shop/sa/cart';
const [own, authority] = await Promise.all([certificate(), certificate({ name: 'authority' })]);
const [ofCart, ofOther] = await Promise.all(
  [cart, 'spiffe://example.org/ns/shop/sa/other'].map((uri) =>
    certificate({ uris: [uri], signer: authority }),
  ),
);

/** Makes a call with this certificate; returns the response, or the status. */
async function call(pair: typeof own | undefined, { isExempt = false, isMutual = true } = {}) {
  const middleware = requireClient({
    clients: new Map([[path, new Set([cart])]]),
    exempt: new Set(isExempt ? [path] : []),
  });
  const tls = isMutual ? { ...own, clientCa: authority.cert } : own;
  const unary = async (text: string) => text;
  await using server = await serveBehind((each) => each.use(middleware), { unary, tls });
  const channel = dial({
    address: server.address,
    tls: {
      ca: Buffer.from(own.cert),
      clientCertificate: pair && { cert: Buffer.from(pair.cert), key: Buffer.from(pair.key) },
    },
  });
  try {
    return (await createClient(EchoDefinition, channel).unary({ text: 'hello' })).text;
  } catch (error) {
    assert.ok(error instanceof ClientError);
    return Status[error.code];
  } finally {
    channel.close();
  }
}

test('requireClient() accepts a client whose certificate has a name that may call the method', async () => {
  assert.equal(await call(ofCart), 'hello');
});

test('requireClient() ends a call of another client with PERMISSION_DENIED', async () => {
  assert.equal(await call(ofOther), 'PERMISSION_DENIED');
});

test('requireClient() ends a call without a certificate with UNAUTHENTICATED, but not of an exempt method', async () => {
  assert.equal(await call(undefined, { isMutual: false }), 'UNAUTHENTICATED');
  assert.equal(await call(undefined, { isMutual: false, isExempt: true }), 'hello');
});
