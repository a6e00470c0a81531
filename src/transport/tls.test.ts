import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { pino } from 'pino';
import { certificate, type CertificatePair } from '../../test/certificate.ts';
import { memoryLog } from '../../test/harness.ts';
import { dialTls, handshake, heard } from '../../test/handshake.ts';
import { mountSecret } from '../../test/secret.ts';
import { createServer } from '../grpc/server.ts';
import { createTls } from './tls.ts';

const pairs = await Promise.all([certificate(), certificate(), certificate()]);
const [first, second, third] = pairs;

/** As the files of a secret. */
function files({ cert, key }: CertificatePair) {
  return { 'tls.crt': cert, 'tls.key': key };
}

function serialOf({ cert }: CertificatePair): string {
  return new X509Certificate(cert).serialNumber;
}

interface ServeOptions {
  pair?: CertificatePair;
  ca?: string;
  now?: () => number;
}

/** A server without methods, with TLS from a secret that is looked at when a test says so. */
async function serveSecret({ pair = first, ca, now = Date.now }: ServeOptions = {}) {
  const secret = mountSecret({ ...files(pair), ...(ca !== undefined && { 'ca.crt': ca }) });
  const log = memoryLog();
  const server = createServer();
  let poll = async () => {};
  const tls = createTls({
    cert: { path: secret.path('tls.crt'), pem: pair.cert },
    key: { path: secret.path('tls.key'), pem: pair.key },
    clientCa: ca === undefined ? undefined : { path: secret.path('ca.crt'), pem: ca },
    log: pino({ base: null }, log),
    now,
    every(work) {
      poll = work;
      return () => {};
    },
  });
  const port = (await server.listen({ host: '127.0.0.1', port: 0 }, tls.pems)) ?? 0;
  tls.watch((pems) => server.setTls?.(pems));
  return {
    secret,
    log,
    tls,
    port,
    poll: () => poll(),
    async serial() {
      const taken = await handshake(port);
      return 'serial' in taken ? taken.serial : taken.refused;
    },
    warnings: () => log.lines.filter(({ level }) => level === 40),
    [Symbol.dispose]() {
      server.forceShutdown();
      secret[Symbol.dispose]();
    },
  };
}

test('createTls() serves a secret that Kubernetes has swapped at the next poll, and goes on with open connections', async () => {
  using running = await serveSecret();
  const open = dialTls(running.port);
  await heard(open);
  await running.poll();
  assert.equal(await running.serial(), serialOf(first));

  running.secret.swap(files(second));
  await running.poll();

  assert.equal(await running.serial(), serialOf(second));
  assert.equal(open.destroyed, false);
  open.destroy();
  const { subject, notAfter } = await running.log.line({ serial: serialOf(second) });
  assert.equal(subject, 'CN=localhost');
  assert.equal(Date.parse(String(notAfter)) / 1000, running.tls.notAfter());
  assert.equal(running.log.lines.length, 2);
  assert.doesNotMatch(JSON.stringify(running.log.lines), /BEGIN/);
});

test('createTls() serves files that are overwritten in place, one after the other, once they belong together', async () => {
  using running = await serveSecret();

  writeFileSync(running.secret.path('tls.crt'), second.cert);
  await running.poll();
  assert.equal(await running.serial(), serialOf(first));
  writeFileSync(running.secret.path('tls.key'), second.key);
  await running.poll();

  assert.equal(await running.serial(), serialOf(second));
});

test('createTls() keeps the last good pair while the files are bad, and warns once of each bad state', async () => {
  using running = await serveSecret();
  const bad: [RegExp, () => void][] = [
    [
      /the key is that of another/,
      () => running.secret.swap({ ...files(second), 'tls.key': third.key }),
    ],
    [
      /each of them whole/,
      () => running.secret.swap(files({ ...second, cert: second.cert.slice(0, 500) })),
    ],
    [
      /private key in PEM/,
      () => running.secret.swap(files({ ...second, key: second.key.slice(0, 500) })),
    ],
    [/each of them whole/, () => running.secret.swap(files({ cert: '', key: '' }))],
    [/ENOENT/, () => running.secret.swap({ 'tls.crt': second.cert })],
    [/ENOENT/, () => rmSync(running.secret.path('..data'))],
  ];

  for (const [index, [reason, make]] of bad.entries()) {
    make();
    for (let i = 0; i < 3; i++) await running.poll();
    assert.equal(await running.serial(), serialOf(first));
    assert.equal(running.warnings().length, index + 1, String(reason));
    assert.match(String(running.warnings()[index]?.['reason']), reason);
  }
  running.secret.swap(files(third));
  await running.poll();

  assert.equal(await running.serial(), serialOf(third));
  assert.equal(running.warnings().length, bad.length);
});

test('createTls() says that all is well again when the files come back as they were', async () => {
  using running = await serveSecret();
  running.secret.swap(files({ ...first, key: second.key }));
  await running.poll();

  running.secret.swap(files(first));
  await running.poll();
  await running.poll();

  const said = running.log.lines.map(({ msg }) => msg);
  const [serving, keeping] = ['serving certificate', 'keeping the last good certificate'];
  assert.deepEqual(said, [serving, keeping, serving]);
});

test('createTls() refuses no handshake while secrets are swapped', async () => {
  using running = await serveSecret();
  const seen = new Set<string>();
  const done = new AbortController();
  const dialAgainAndAgain = async () => {
    while (!done.signal.aborted) seen.add(await running.serial());
  };
  const dialers = Array.from({ length: 4 }, dialAgainAndAgain);

  for (let i = 1; i <= 30; i++) {
    const pair = pairs[i % pairs.length] ?? first;
    // Some of the time what is there is bad.
    if (i % 3 === 0) running.secret.swap({ ...files(pair), 'tls.key': 'no key' });
    else running.secret.swap(files(pair));
    await running.poll();
    await running.serial();
  }
  done.abort();
  await Promise.all(dialers);

  // Anything else would be the reason of a failure.
  assert.deepEqual([...seen].toSorted(), pairs.map(serialOf).toSorted());
});

test('createTls() takes other client authorities', async () => {
  const [one, other] = await Promise.all([
    certificate({ name: 'one' }),
    certificate({ name: 'other' }),
  ]);
  const client = await certificate({ signer: other });
  using running = await serveSecret({ ca: one.cert });
  assert.ok('refused' in (await handshake(running.port, client)));

  running.secret.swap({ ...files(first), 'ca.crt': `${one.cert}\n${other.cert.slice(0, 300)}` });
  await running.poll();
  assert.ok('refused' in (await handshake(running.port, client)));
  running.secret.swap({ ...files(first), 'ca.crt': `${one.cert}\n${other.cert}` });
  await running.poll();

  assert.ok('serial' in (await handshake(running.port, client)));
  await running.log.line({ msg: 'serving certificate', clientAuthorities: 2 });
  assert.equal(running.warnings().length, 1);
});

test('createTls() serves certificates that are not valid, and warns of each once', async () => {
  const day = 24 * 3_600_000;
  const noon = Date.UTC(2030, 0, 1);
  const [expired, early] = await Promise.all([
    certificate({ notBefore: new Date(noon - 2 * day), notAfter: new Date(noon - day) }),
    certificate({ notBefore: new Date(noon + day), notAfter: new Date(noon + 2 * day) }),
  ]);
  using running = await serveSecret({ pair: expired, now: () => noon });
  assert.equal(running.tls.notAfter(), (noon - day) / 1000);
  await running.poll();

  running.secret.swap(files(early));
  await running.poll();
  await running.poll();

  assert.equal(await running.serial(), serialOf(early));
  assert.equal(running.tls.notAfter(), (noon + 2 * day) / 1000);
  assert.deepEqual(
    running.warnings().map(({ msg, serial }) => [msg, serial]),
    [
      ['the certificate has expired', serialOf(expired)],
      ['the certificate is not valid yet', serialOf(early)],
    ],
  );
});
