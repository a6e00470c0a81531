import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { certificate, type CertificatePair } from './certificate.ts';
import { dialTls, handshake, heard } from './handshake.ts';
import { install } from './program.ts';
import { mountSecret } from './secret.ts';

/** As the files of a secret. */
function files({ cert, key }: CertificatePair) {
  return { 'tls.crt': cert, 'tls.key': key };
}

function serialOf({ cert }: CertificatePair): string {
  return new X509Certificate(cert).serialNumber;
}

/** The built file, with TLS from a secret. */
async function serveSecret(pair: CertificatePair, args: readonly string[] = []) {
  const secret = mountSecret(files(pair));
  const program = install();
  const env = {
    GREETER_TLS_CERT_FILE: secret.path('tls.crt'),
    GREETER_TLS_KEY_FILE: secret.path('tls.key'),
  };
  const server = await program.serve(['--engine', 'direct', ...args], { env });
  return {
    secret,
    server,
    port: Number(server.address.split(':')[1]),
    [Symbol.dispose]() {
      program[Symbol.dispose]();
      secret[Symbol.dispose]();
    },
  };
}

test('serve takes a certificate that is renewed on disk, keeps its connections, and leaves as ever', async () => {
  const [first, second] = await Promise.all([certificate(), certificate()]);
  using running = await serveSecret(first, ['--tls-reload-interval', '1s']);
  const { port, server } = running;
  const open = dialTls(port);
  await heard(open);
  assert.partialDeepStrictEqual(await handshake(port), { serial: serialOf(first) });

  running.secret.swap({ ...files(second), 'tls.key': first.key });
  await server.log.line({ msg: 'keeping the last good certificate' });
  assert.partialDeepStrictEqual(await handshake(port), { serial: serialOf(first) });
  running.secret.swap(files(second));
  await server.log.line({ msg: 'serving certificate', serial: serialOf(second) });

  assert.partialDeepStrictEqual(await handshake(port), { serial: serialOf(second) });
  assert.equal(open.destroyed, false);
  server.signal('SIGTERM');
  assert.deepEqual(await server.ended, { code: 0, err: '' });
});
