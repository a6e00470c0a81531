import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttp2Server, type IncomingHttpHeaders } from 'node:http2';
import { connect, createServer as createTcpServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { ServerCredentials } from '@grpc/grpc-js';
import { createClient, createServer } from 'nice-grpc';
import { generate } from 'selfsigned';
import { HealthCheckResponse, HealthDefinition } from '../src/gen/grpc/health/v1/health.ts';
import { dial } from '../src/transport/client.ts';
import { greeting } from './http2_attacks/attacker.ts';
import { install } from './support/program.ts';
import { frame } from './support/raw_client.ts';
import { listenTcp } from './support/tcp.ts';

test('health exits 0 for every known name while the server is SERVING', async () => {
  using program = install();
  const { address, log } = await program.serve();
  const { services } = await log.line({ msg: 'serving' });
  assert.ok(Array.isArray(services) && services.length > 0);

  const whole = await program.run(['health', '-addr', address]);
  assert.deepEqual(whole, { code: 0, out: 'status: SERVING\n', err: '' });
  for (const service of ['liveness', 'readiness', ...services]) {
    const { code } = await program.run(['health', `-addr=${address}`, '-service', service]);
    assert.equal(code, 0, service);
  }
});

test('health exits 4 when the server is NOT_SERVING, during a shutdown', async () => {
  using program = install();
  const server = await program.serve(['--shutdown-delay', '1h']);
  server.signal('SIGTERM');
  await server.log.line({ msg: 'shutting down' });

  const ready = await program.run(['health', '-addr', server.address, '-service', 'readiness']);
  const alive = await program.run(['health', '-addr', server.address, '-service', 'liveness']);

  assert.deepEqual(ready, { code: 4, out: '', err: 'status: NOT_SERVING\n' });
  assert.equal(alive.code, 0);
});

test('the health port answers a check beside 300 watches on one connection', async (t) => {
  using program = install();
  const server = await program.serve(['--health-listen', '127.0.0.1:0']);
  const { port } = await server.log.line({ msg: 'listening for health' });
  const channel = dial({ address: `127.0.0.1:${String(port)}` });
  t.after(() => channel.close());
  const client = createClient(HealthDefinition, channel);
  // Otherwise a read would wait for ever.
  const signal = AbortSignal.timeout(10_000);
  const watches = Array.from({ length: 300 }, () =>
    client.watch({ service: '' }, { signal })[Symbol.asyncIterator]().next(),
  );

  const heard = await Promise.all(watches);
  const check = await client.check({ service: '' }, { signal });

  assert.deepEqual(new Set(heard.map(({ value }) => value?.status)), new Set([check.status]));
});

test('the health port answers probes while 1000 connections with only a preface are open', async (t) => {
  using program = install();
  const server = await program.serve(['--health-listen', '127.0.0.1:0']);
  const { port } = await server.log.line({ msg: 'listening for health' });
  const sockets: Socket[] = [];
  t.after(() => {
    for (const socket of sockets) socket.destroy();
  });
  const fill = async (count: number) => {
    while (count-- > 0) {
      const socket = connect(Number(port), '127.0.0.1').on('error', () => {});
      sockets.push(socket);
      socket.write(greeting());
      await once(socket, 'data');
    }
  };
  const probe = () => program.run(['health', '-addr', `127.0.0.1:${String(port)}`]);

  await fill(1000);
  const first = await probe();
  // Replaces connections that were closed.
  await fill(50);
  const second = await probe();

  const serving = { code: 0, out: 'status: SERVING\n', err: '' };
  assert.deepEqual([first, second], [serving, serving]);
  await server.log.line({ msg: 'connection error', reason: 'evicted' });
});

test('health exits 3 for an unknown name, and for a server without the health service', async () => {
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

test('health exits 3 when there is no response within -rpc-timeout', async () => {
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

test('health exits 2 when nothing answers within -connect-timeout', async (t) => {
  using program = install();
  const silent = createTcpServer();
  t.after(() => silent.close());
  const silentPort = await listenTcp(silent);

  // A busy machine may take a moment to refuse a connection.
  for (const [port, ms, why] of [
    [1, 1000, 'connection refused'],
    [silentPort, 100, 'no answer'],
  ] as const) {
    const addr = `127.0.0.1:${port}`;
    const { code, err } = await program.run(['health', '-addr', addr, `-connect-timeout=${ms}ms`]);
    assert.equal(err, `Cannot connect to ${addr} within ${ms} ms: ${why}\n`);
    assert.equal(code, 2);
  }
});

test('health exits 1 and reports all errors of its arguments', async () => {
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
    `Cannot check health:
  -nope: unknown flag
  --rpc-timeout "5": must be a duration such as 250ms, 5s or 1m30s
  --addr: is required
  --tls-ca-cert "/does/not/exist": ENOENT: no such file or directory, open '/does/not/exist'
  --tls-client-cert "/does/not/exist": ENOENT: no such file or directory, open '/does/not/exist'
  --tls-...: need --tls as well
`,
  );
  assert.equal(code, 1);
});

test('health sends -rpc-header, -user-agent and -gzip, and no reserved metadata from -rpc-header', async (t) => {
  using program = install();
  const { address, requests } = await recordRequests(t);
  const headers = [
    'X-Team: blue',
    'x-team:green',
    'trace-bin:\u00ff',
    'te:none',
    'grpc-timeout:1H',
  ];
  const flags = headers.flatMap((header) => ['-rpc-header', header]);

  const all = await program.run([
    'health',
    '-addr',
    address,
    '-gzip',
    '-user-agent=ours/1',
    '-rpc-timeout=90s',
    ...flags,
  ]);
  const plain = await program.run(['health', '-addr', address]);

  assert.deepEqual([all.code, plain.code], [0, 0]);
  const [first, second] = requests;
  assert.match(String(first?.headers['user-agent']), /^ours\/1 grpc-node-js\//);
  assert.match(String(second?.headers['user-agent']), /^grpc_health_probe grpc-node-js\//);
  assert.equal(first?.headers['x-team'], 'blue, green');
  assert.equal(first.headers['trace-bin'], Buffer.from('\u00ff').toString('base64'));
  assert.equal(first.headers['te'], 'trailers');
  assert.equal(first.headers['grpc-timeout'], '90000m');
  assert.deepEqual([first.headers['grpc-encoding'], first.body[0]], ['gzip', 1]);
  assert.deepEqual([second?.headers['grpc-encoding'], second?.body[0]], [undefined, 0]);
});

test('health exits 3 for metadata that cannot be sent, once it is connected', async (t) => {
  using program = install();
  const { address, requests } = await recordRequests(t);

  for (const header of [':a', 'a b:c', 'ä:c', 'a:ä']) {
    const { code, err } = await program.run(['health', '-addr', address, '-rpc-header', header]);
    assert.match(err, /^Cannot check health: .+\n$/, header);
    assert.equal(code, 3, header);
  }
  const nobody = ['-addr', '127.0.0.1:1', '-connect-timeout', '1ms', '-rpc-header', ':a'];
  const unconnected = await program.run(['health', ...nobody]);

  assert.equal(unconnected.code, 2);
  assert.deepEqual(requests, []);
});

test('health -v shows its steps, and -version its version', async () => {
  using program = install();
  const { address } = await program.serve();

  const verbose = await program.run(['health', '-addr', address, '-v']);
  const version = await program.run(['health', '-version']);
  const wrong = await program.run(['health', '-version', '-rpc-timeout=1']);

  const took = String.raw`[\d.]+(µs|ms|s)`;
  assert.match(
    verbose.err,
    new RegExp(
      `^parsed options:\n> addr=${address} conn_timeout=1s rpc_timeout=1s\n[^]*` +
        `establishing connection\nconnection established \\(took ${took}\\)\n` +
        `time elapsed: connect=${took} rpc=${took}\n$`,
    ),
  );
  assert.deepEqual([verbose.code, verbose.out], [0, 'status: SERVING\n']);
  assert.match(version.out, /^greeter \d+\.\d+\.\d+/);
  assert.deepEqual([version.code, wrong.code], [0, 1]);
});

test('health ends its flags where grpc-health-probe does, and reports what it ignores', async () => {
  using program = install();
  const { address } = await program.serve();

  const args = ['health', '-addr', address, 'false', '-service', 'nope'];
  const { code, err } = await program.run(args);

  assert.equal(err, 'Ignoring false -service nope: flags end where something else comes first\n');
  assert.equal(code, 0);
});

test("health trusts the system's CAs", async (t) => {
  using program = install();
  const { address, files } = await serveMutualTls(t);
  const client = ['-tls-client-cert', files.clientCert, '-tls-client-key', files.clientKey];
  const flags = ['-tls', ...client, '-tls-server-name', 'greeter.test'];

  const trusted = await program.run(['health', '-addr', address, ...flags], {
    env: { SSL_CERT_FILE: files.ca },
  });

  assert.equal(trusted.err, '');
  assert.equal(trusted.code, 0);
});

test('health supports TLS: CAs, server names, client certificates, or no verification', async (t) => {
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

/** A server that answers SERVING to all requests, and records them. */
async function recordRequests(t: TestContext) {
  const requests: { headers: IncomingHttpHeaders; body: Buffer }[] = [];
  const server = createHttp2Server((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => void chunks.push(chunk));
    request.on('end', () => {
      requests.push({ headers: request.headers, body: Buffer.concat(chunks) });
      response.writeHead(200, { 'content-type': 'application/grpc' });
      response.addTrailers({ 'grpc-status': '0' });
      response.end(frame(HealthCheckResponse.encode({ status: 1 }).finish()));
    });
  });
  t.after(() => server.close());
  return { address: `127.0.0.1:${await listenTcp(server)}`, requests };
}

/** A health server that requires client certificates; its own is for greeter.test only. */
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
