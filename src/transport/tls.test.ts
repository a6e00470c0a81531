import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { pino } from 'pino';
import { certificate, type CertificatePair } from '../../test/support/certificate.ts';
import { memoryLog } from '../../test/support/harness.ts';
import { dialTls, handshake, heard } from '../../test/support/handshake.ts';
import { mountSecret } from '../../test/support/secret.ts';
import { createTls } from './tls.ts';
import { createServer } from '../../test/support/engine.ts';

const pairs = await Promise.all([certificate(), certificate(), certificate()]);
const [first, second, third] = pairs;

/** The files of a Secret. */
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

/** A server without methods, with TLS from a Secret that is checked when the test says so. */
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
    /** Runs the checks after which an unchanged Secret is loaded. */
    async settle() {
      await poll();
      await poll();
    },
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

test('createTls() loads a Secret that Kubernetes has replaced once it is unchanged, and keeps open connections', async () => {
  using running = await serveSecret();
  const open = dialTls(running.port);
  await heard(open);
  await running.poll();
  assert.equal(await running.serial(), serialOf(first));

  running.secret.swap(files(second));
  await running.poll();
  assert.equal(await running.serial(), serialOf(first));
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

test('createTls() loads files that are overwritten one after the other once they match', async () => {
  using running = await serveSecret();

  writeFileSync(running.secret.path('tls.crt'), second.cert);
  await running.settle();
  assert.equal(await running.serial(), serialOf(first));
  writeFileSync(running.secret.path('tls.key'), second.key);
  await running.settle();

  assert.equal(await running.serial(), serialOf(second));
});

test('createTls() keeps the last valid pair while files are invalid, and warns once of each state', async () => {
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
  await running.settle();

  assert.equal(await running.serial(), serialOf(third));
  assert.equal(running.warnings().length, bad.length);
});

test('createTls() reports when the files are valid again', async () => {
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

test('createTls() fails no handshake while Secrets are replaced', async () => {
  using running = await serveSecret();
  const seen = new Set<string>();
  const done = new AbortController();
  const dialAgainAndAgain = async () => {
    while (!done.signal.aborted) seen.add(await running.serial());
  };
  const dialers = Array.from({ length: 4 }, dialAgainAndAgain);

  for (let i = 1; i <= 15; i++) {
    const pair = pairs[i % pairs.length] ?? first;
    // The files are invalid some of the time.
    if (i % 3 === 0) running.secret.swap({ ...files(pair), 'tls.key': 'no key' });
    else running.secret.swap(files(pair));
    await running.settle();
    await running.serial();
  }
  done.abort();
  await Promise.all(dialers);

  // Any other certificate would explain a failure.
  assert.deepEqual([...seen].toSorted(), pairs.map(serialOf).toSorted());
});

test('createTls() loads new client CAs', async () => {
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
  await running.settle();

  assert.ok('serial' in (await handshake(running.port, client)));
  await running.log.line({ msg: 'serving certificate', clientAuthorities: 2 });
  assert.equal(running.warnings().length, 1);
});

/** A leaf with its intermediate; the root is not in the file. */
async function chainedPair(about: { leafEnds?: Date; intermediateEnds?: Date } = {}) {
  const root = await certificate({ name: 'root' });
  const intermediate = await certificate({
    name: 'intermediate',
    signer: root,
    isAuthority: true,
    ...(about.intermediateEnds && { notAfter: about.intermediateEnds }),
  });
  const leaf = await certificate({
    signer: intermediate,
    ...(about.leafEnds && { notAfter: about.leafEnds }),
  });
  return { root, intermediate, leaf, cert: `${leaf.cert}\n${intermediate.cert}`, key: leaf.key };
}

test('createTls() does not load half a chain from a slow writer, and warns if it stays so', async () => {
  const [before, after] = await Promise.all([chainedPair(), chainedPair()]);
  using running = await serveSecret({ pair: before });

  running.secret.swap(files(after.leaf));
  await running.poll();
  running.secret.swap(files(after));
  await running.poll();
  assert.equal(await running.serial(), serialOf(before));
  await running.poll();
  assert.equal(await running.serial(), serialOf(after));
  assert.deepEqual(running.warnings(), []);
  running.secret.swap(files(before.leaf));
  await running.settle();

  assert.equal(await running.serial(), serialOf(before));
  assert.partialDeepStrictEqual(running.warnings(), [
    {
      msg: 'the certificate chain is shorter than before',
      before: 2,
      now: 1,
      missing: 'CN=intermediate',
    },
  ]);
});

test('createTls() does not load one of two CAs from a slow writer, and warns if it stays so', async () => {
  const [one, two, next] = await Promise.all(
    ['one', 'two', 'next'].map((name) => certificate({ name })),
  );
  const both = `${one?.cert}\n${two?.cert}`;
  using running = await serveSecret({ ca: both });
  const swap = (ca: string | undefined) =>
    running.secret.swap({ ...files(first), 'ca.crt': String(ca) });

  swap(next?.cert);
  await running.poll();
  swap(`${next?.cert}\n${two?.cert}`);
  await running.settle();
  assert.deepEqual(running.warnings(), []);
  assert.equal(running.tls.pems.clientCa, `${next?.cert}\n${two?.cert}`);
  swap(one?.cert);
  await running.settle();

  assert.equal(running.tls.pems.clientCa, one?.cert);
  assert.partialDeepStrictEqual(running.warnings(), [
    { msg: 'there are fewer client authorities than before', before: 2, now: 1 },
  ]);
});

test('createTls() warns of an incomplete chain, and names the missing issuer', async () => {
  const { leaf, root, cert, key } = await chainedPair();
  using running = await serveSecret({ pair: { cert: `${leaf.cert}\n${root.cert}`, key } });

  running.secret.swap(files({ cert, key }));
  await running.settle();
  running.secret.swap(files({ cert: `${cert}\n${third.cert}`, key }));
  await running.settle();

  const msg = 'the certificate chain does not lead on';
  assert.partialDeepStrictEqual(running.warnings(), [
    { msg, missing: 'CN=intermediate', strays: 1 },
    { msg, missing: 'CN=root', strays: 1 },
  ]);
});

test('createTls() warns that the issuer is missing, unless the client CA is the same', async () => {
  const authority = await certificate({ name: 'authority' });
  const pair = await certificate({ signer: authority });
  const msg = 'the certificate comes without its issuer';

  using alone = await serveSecret({ pair });
  using mutual = await serveSecret({ pair, ca: authority.cert });

  await alone.log.line({ msg, missing: 'CN=authority', level: 30 });
  assert.equal(
    mutual.log.lines.some((line) => line['msg'] === msg),
    false,
  );
});

test('reload() loads the files at once, and reports what is served', async () => {
  using running = await serveSecret();
  running.secret.swap(files(second));

  await running.tls.reload();
  assert.equal(await running.serial(), serialOf(second));
  await running.tls.reload();
  running.secret.swap({ ...files(third), 'tls.key': second.key });
  for (let i = 0; i < 2; i++) await Promise.all([running.poll(), running.tls.reload()]);

  assert.equal(await running.serial(), serialOf(second));
  const said = running.log.lines.map(({ msg, serial }) => [msg, serial]);
  const [serving, keeping] = ['serving certificate', 'keeping the last good certificate'];
  assert.deepEqual(said, [
    [serving, serialOf(first)],
    [serving, serialOf(second)],
    [serving, serialOf(second)],
    // Once by the polling, and once per reload().
    [keeping, undefined],
    [keeping, undefined],
    [keeping, undefined],
  ]);
});

test('createTls() does not wait for a FIFO, and reads no large file', async () => {
  using running = await serveSecret();
  const path = running.secret.path('tls.crt');
  rmSync(path);
  assert.equal(spawnSync('mkfifo', [path]).status, 0);
  await running.poll();
  rmSync(path);
  writeFileSync(path, second.cert.padEnd(1024 ** 2 + 1));
  await running.poll();
  rmSync(path);
  writeFileSync(path, second.cert);
  writeFileSync(running.secret.path('tls.key'), second.key);
  await running.settle();

  assert.equal(await running.serial(), serialOf(second));
  const reason = `Cannot read "${path}": it must be a regular file of at most 1MiB`;
  // The same state is logged once.
  assert.partialDeepStrictEqual(running.warnings(), [{ reason }]);
});

const day = 24 * 3_600_000;

test('createTls() warns of each certificate from 7 days before its expiry, once a day', async () => {
  const noon = Date.UTC(2030, 0, 1, 12);
  const at = (days: number) => new Date(noon + days * day);
  const pair = await chainedPair({ leafEnds: at(20), intermediateEnds: at(10) });
  const authority = await certificate({ name: 'authority', notAfter: at(15) });
  let now = noon;
  using running = await serveSecret({ pair, ca: authority.cert, now: () => now });
  const warned: unknown[][] = [];

  for (let halfDays = 0; halfDays < 2 * 22; halfDays++) {
    now = at(halfDays / 2).getTime() + 1000;
    running.log.lines.length = 0;
    await running.poll();
    for (const { role, msg } of running.warnings()) warned.push([role, halfDays / 2, msg]);
  }

  const ends = { server: 20, intermediate: 10, 'client authority': 15 };
  for (const [role, end] of Object.entries(ends)) {
    const days = Array.from({ length: 29 - end }, (_, i) => end - 7 + i);
    const expected = days.map((on) => [
      role,
      on,
      on < end ? 'the certificate expires soon' : 'the certificate has expired',
    ]);
    assert.deepEqual(
      warned.filter(([of]) => of === role),
      expected,
    );
  }
  assert.equal(running.tls.notAfter(), at(10).getTime() / 1000);
  assert.equal(running.tls.clientCaNotAfter(), at(15).getTime() / 1000);
});

test('createTls() serves certificates outside of their validity, and warns of each once', async () => {
  const noon = Date.UTC(2030, 0, 1);
  const [expired, early] = await Promise.all([
    certificate({ notBefore: new Date(noon - 2 * day), notAfter: new Date(noon - day) }),
    certificate({ notBefore: new Date(noon + day), notAfter: new Date(noon + 2 * day) }),
  ]);
  using running = await serveSecret({ pair: expired, now: () => noon });
  assert.equal(running.tls.notAfter(), (noon - day) / 1000);
  await running.poll();

  running.secret.swap(files(early));
  await running.settle();
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
