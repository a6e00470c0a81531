import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { ServerCredentials } from '@grpc/grpc-js';
import { createClient, createServer } from 'nice-grpc';
import { generate } from 'selfsigned';
import { HealthDefinition } from '../src/gen/grpc/health/v1/health.ts';
import { dial } from '../src/transport/client.ts';
import { install } from './program.ts';
import { listenTcp } from './tcp.ts';
import { serviceNames } from './harness.ts';

test('health exits 0 for every known name while the server is SERVING', async () => {
  using program = install();
  const { address } = await program.serve();

  const whole = await program.run(['health', '-addr', address]);
  assert.deepEqual(whole, { code: 0, out: 'status: SERVING\n', err: '' });
  for (const service of ['liveness', 'readiness', ...serviceNames]) {
    const { code } = await program.run(['health', `-addr=${address}`, '-service', service]);
    assert.equal(code, 0, service);
  }
});

test('health exits 4 when the server is NOT_SERVING: leaving, yet alive', async () => {
  using program = install();
  const server = await program.serve(['--leave-delay', '1h']);
  server.signal('SIGTERM');
  await server.log.line({ msg: 'leaving' });

  const ready = await program.run(['health', '-addr', server.address, '-service', 'readiness']);
  const alive = await program.run(['health', '-addr', server.address, '-service', 'liveness']);

  assert.deepEqual(ready, { code: 4, out: '', err: 'status: NOT_SERVING\n' });
  assert.equal(alive.code, 0);
});

test('the port of health answers a check beside 300 watches on one connection', async (t) => {
  using program = install();
  const server = await program.serve(['--health-listen', '127.0.0.1:0']);
  const { port } = await server.log.line({ msg: 'listening for health' });
  const channel = dial({ address: `127.0.0.1:${String(port)}` });
  t.after(() => channel.close());
  const client = createClient(HealthDefinition, channel);
  // What waits for a stream to end waits for ever.
  const signal = AbortSignal.timeout(10_000);
  const watches = Array.from({ length: 300 }, () =>
    client.watch({ service: '' }, { signal })[Symbol.asyncIterator]().next(),
  );

  const heard = await Promise.all(watches);
  const check = await client.check({ service: '' }, { signal });

  assert.deepEqual(new Set(heard.map(({ value }) => value?.status)), new Set([check.status]));
});

test('health exits 3 for a name that is not known, and for a server without health', async () => {
  using program = install();
  const { address } = await program.serve();
  const bare = createServer();
  const port = await bare.listen('127.0.0.1:0');

  const unknown = await program.run(['health', '--addr', address, '--service', 'nope']);
  const without = await program.run(['health', '--addr', `127.0.0.1:${port}`]);
  bare.forceShutdown();

  assert.match(unknown.err, /NOT_FOUND: Cannot find service "nope"/);
  assert.match(without.err, /UNIMPLEMENTED/);
  assert.deepEqual([unknown.code, without.code], [3, 3]);
});

test('health exits 3 when the answer does not come within -rpc-timeout', async () => {
  using program = install();
  const slow = createServer();
  slow.add(HealthDefinition, {
    check: () => new Promise(() => {}),
    list: () => new Promise(() => {}),
    async *watch() {},
  });
  const address = `127.0.0.1:${await slow.listen('127.0.0.1:0')}`;

  const { code, err } = await program.run(['health', '-addr', address, '-rpc-timeout', '50ms']);
  slow.forceShutdown();

  assert.match(err, /DEADLINE_EXCEEDED|within 50 ms/);
  assert.equal(code, 3);
});

test('health exits 2 when nobody answers within -connect-timeout', async (t) => {
  using program = install();
  const silent = createTcpServer();
  t.after(() => silent.close());
  const silentPort = await listenTcp(silent);

  for (const port of [1, silentPort]) {
    const addr = `127.0.0.1:${port}`;
    const { code, err } = await program.run(['health', '-addr', addr, '-connect-timeout=100ms']);
    assert.equal(err, `Cannot connect to ${addr} within 100 ms\n`);
    assert.equal(code, 2);
  }
});

test('health exits 1 and names all that is wrong with its arguments', async () => {
  using program = install();

  const { code, err } = await program.run([
    'health',
    '-nope',
    '-rpc-timeout=5',
    '-tls-ca-cert=/does/not/exist',
    '-tls-no-verify',
    '-tls-client-cert=/does/not/exist',
  ]);

  assert.equal(
    err,
    `Cannot ask for health:
  -nope: unknown flag
  --addr: is required
  --rpc-timeout "5": must be a duration from 1ms to 576h, such as 250ms, 5s or 1m30s
  --tls-ca-cert "/does/not/exist": ENOENT: no such file or directory, open '/does/not/exist'
  --tls-client-cert "/does/not/exist": ENOENT: no such file or directory, open '/does/not/exist'
  --tls-...: need --tls as well
`,
  );
  assert.equal(code, 1);
});

test('health speaks TLS: authorities, names, client certificates, or none of the checks', async (t) => {
  using program = install();
  const { address, files } = await serveMutualTls(t);
  const run = (...flags: string[]) => program.run(['health', '-addr', address, '-tls', ...flags]);
  const client = ['-tls-client-cert', files.clientCert, '-tls-client-key', files.clientKey];
  const ca = ['-tls-ca-cert', files.ca];
  const name = ['-tls-server-name', 'greeter.test'];

  const good = await run(...ca, ...client, ...name);
  const unverified = await run('-tls-no-verify=true', ...client);
  const wrongName = await run(...ca, ...client, '-connect-timeout', '100ms');
  const untrusted = await run(...client, ...name, '-connect-timeout', '100ms');
  const noPem = await run('-tls-ca-cert', files.clientKey, ...client.with(1, files.noPem));

  assert.deepEqual(good, { code: 0, out: 'status: SERVING\n', err: '' });
  assert.equal(unverified.code, 0);
  assert.deepEqual([wrongName.code, untrusted.code, noPem.code], [2, 2, 1]);
});

/** A server of health that asks for a client certificate; its own is for greeter.test alone. */
async function serveMutualTls(t: TestContext) {
  const attributes = [{ name: 'commonName', value: 'greeter.test' }];
  const extensions = [
    { name: 'basicConstraints' as const, cA: true },
    { name: 'subjectAltName' as const, altNames: [{ type: 2 as const, value: 'greeter.test' }] },
  ];
  const pems = await generate(attributes, {
    extensions,
    algorithm: 'sha256',
    clientCertificate: true,
  });
  const folder = mkdtempSync(join(tmpdir(), 'greeter-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = (name: string, content = '') => {
    const path = join(folder, name);
    writeFileSync(path, content);
    return path;
  };

  const server = createServer();
  server.add(HealthDefinition, {
    check: async () => ({ status: 1 }),
    list: async () => ({}),
    async *watch() {},
  });
  const certificate = Buffer.from(pems.cert);
  const pair = { cert_chain: certificate, private_key: Buffer.from(pems.private) };
  const credentials = ServerCredentials.createSsl(certificate, [pair], true);
  const port = await server.listen('127.0.0.1:0', credentials);
  t.after(() => server.forceShutdown());
  return {
    address: `127.0.0.1:${port}`,
    files: {
      ca: file('ca.pem', pems.cert),
      clientCert: file('client.pem', pems.clientcert),
      clientKey: file('client.key', pems.clientprivate),
      noPem: file('no.pem', 'no certificate'),
    },
  };
}
