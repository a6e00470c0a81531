import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import type { ConnectionOptions } from 'node:tls';
import { certificate } from '../../../test/support/certificate.ts';
import { clientHello, dialTls, handshake } from '../../../test/support/handshake.ts';
import { eventually } from '../../../test/support/harness.ts';
import { preface } from '../http2/frames.ts';
import type { TlsFiles } from './tls_options.ts';
import { createServer } from '../../../test/support/engine.ts';

const day = 24 * 3_600_000;
const [own, authority] = await Promise.all([certificate(), certificate({ name: 'authority' })]);
const [client, expired, stranger, hello] = await Promise.all([
  certificate({ signer: authority }),
  certificate({ signer: authority, notAfter: new Date(Date.now() - day) }),
  certificate({ name: 'stranger' }),
  clientHello(),
]);
const mutual = { ...own, clientCa: authority.cert };

/** A server without methods that records its incidents. */
async function serveTls(files: TlsFiles) {
  const incidents: { reason: string; message: string; peer: string }[] = [];
  const server = createServer({ onIncident: (event) => void incidents.push(event) });
  const port = (await server.listen({ host: '127.0.0.1', port: 0 }, files)) ?? 0;
  return { port, incidents, [Symbol.dispose]: () => server.forceShutdown() };
}

const tls11 = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'ALL@SECLEVEL=0' } as const;
const tls12 = { maxVersion: 'TLSv1.2' } as const;

/** Options of Node clients that are refused, by reason. */
const refused: [reason: string, what: string, files: TlsFiles, options: ConnectionOptions][] = [
  ['no_client_certificate', 'TLS 1.3', mutual, {}],
  ['no_client_certificate', 'TLS 1.2', mutual, tls12],
  ['unknown_authority', 'TLS 1.3', mutual, stranger],
  ['unknown_authority', 'TLS 1.2', mutual, { ...stranger, ...tls12 }],
  ['client_certificate_expired', 'TLS 1.3', mutual, expired],
  ['client_certificate_expired', 'TLS 1.2', mutual, { ...expired, ...tls12 }],
  ['old_version', 'TLS 1.1', own, tls11],
  ['no_shared_cipher', 'RSA without ephemeral keys', own, { ...tls12, ciphers: 'AES128-SHA' }],
  ['no_shared_cipher', 'ECDSA alone', own, { sigalgs: 'ecdsa_secp256r1_sha256' }],
  ['no_shared_protocol', 'HTTP/1.1 alone', own, { ALPNProtocols: ['http/1.1'] }],
  ['reset', 'a client that distrusts', own, { rejectUnauthorized: true }],
];

for (const [reason, what, files, options] of refused) {
  test(`a failed TLS handshake is reported once, as ${reason}: ${what}`, async () => {
    using running = await serveTls(files);
    const { port, incidents } = running;
    const socket = dialTls(port, options);
    await once(socket, 'connect');
    const peer = `127.0.0.1:${socket.localPort}`;

    await new Promise((resolve) => socket.on('close', resolve));
    await eventually('the incident', () => incidents.length > 0);
    await handshake(port, client);

    const seen = incidents.map((incident) => [incident.reason, incident.peer]);
    assert.deepEqual(seen, [[`handshake_${reason}`, peer]]);
  });
}

/** Fatal, and unknown_ca (RFC 8446, section 6). */
const alert = Buffer.from('15030300020230', 'hex');

/** Raw bytes that are refused, by reason. */
const said: [reason: string, words: readonly Buffer[], message: RegExp][] = [
  ['plaintext', [Buffer.from('GET / HTTP/1.1\r\n\r\n')], /plaintext/],
  ['plaintext', [Buffer.from('CONNECT a:1 HTTP/1.1\r\n\r\n')], /plaintext/],
  ['plaintext', [Buffer.from(preface)], /plaintext/],
  ['rejected_by_client', [hello, alert], /refused the handshake: unknown ca: .*intermediates$/],
  ['other', [Buffer.from('1603010005aabbccddee', 'hex')], /ERR_SSL_UNEXPECTED_MESSAGE$/],
];

for (const [index, [reason, words, message]] of said.entries()) {
  test(`a failed TLS handshake is reported once, as ${reason}: raw bytes ${index}`, async () => {
    using running = await serveTls(own);
    const socket = await dial(running.port);
    const peer = `127.0.0.1:${socket.localPort}`;

    for (const word of words) {
      socket.write(word);
      // The server answers the first before the second is sent.
      if (word === hello) await once(socket, 'data');
    }
    await once(socket.resume(), 'close');

    assert.partialDeepStrictEqual(running.incidents, [{ reason: `handshake_${reason}`, peer }]);
    assert.equal(running.incidents.length, 1);
    assert.match(running.incidents[0]?.message ?? '', message);
  });
}

test('a connection closed before its first byte is no failed handshake; one closed later is', async () => {
  using running = await serveTls(own);
  const [silent, reset, half] = await Promise.all([1, 2, 3].map(() => dial(running.port)));

  silent?.end();
  reset?.resetAndDestroy();
  if (silent) await once(silent.resume(), 'close');
  half?.end(hello.subarray(0, 9));
  if (half) await once(half.resume(), 'close');

  const reasons = running.incidents.map(({ reason }) => reason);
  assert.deepEqual(reasons, ['handshake_reset']);
});

/** A plaintext connection without an error listener of its own. */
async function dial(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1').on('error', () => {});
  await once(socket, 'connect');
  return socket;
}
