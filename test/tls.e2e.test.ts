import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { test } from 'node:test';
import { createClient } from 'nice-grpc';
import { Status } from 'nice-grpc-common';
import {
  HealthCheckResponse_ServingStatus as ServingStatus,
  HealthDefinition,
} from '../src/gen/grpc/health/v1/health.ts';
import { ServerReflectionDefinition } from '../src/gen/grpc/reflection/v1/reflection.ts';
import { dial } from '../src/transport/client.ts';
import { certificate, type CertificatePair } from './support/certificate.ts';
import { dialTls, handshake, heard } from './support/handshake.ts';
import { feed } from './support/harness.ts';
import { install } from './support/program.ts';
import { parsePrometheus } from './support/prometheus.ts';
import { mountSecret } from './support/secret.ts';
import { listenTcp } from './support/tcp.ts';

/** The files of a Secret. */
function files({ cert, key }: CertificatePair) {
  return { 'tls.crt': cert, 'tls.key': key };
}

function serialOf({ cert }: CertificatePair): string {
  return new X509Certificate(cert).serialNumber;
}

/** The built file with TLS from a Secret. */
async function serveSecret(pair: CertificatePair, args: readonly string[] = []) {
  const secret = mountSecret(files(pair));
  const program = install();
  const env = {
    GREETER_TLS_CERT_FILE: secret.path('tls.crt'),
    GREETER_TLS_KEY_FILE: secret.path('tls.key'),
    GREETER_HEALTH_LISTEN: '127.0.0.1:0',
  };
  const server = await program.serve(args, { env });
  const { port: healthPort } = await server.log.line({ msg: 'listening for health' });
  return {
    program,
    healthAddress: `127.0.0.1:${String(healthPort)}`,
    secret,
    server,
    port: Number(server.address.split(':')[1]),
    [Symbol.dispose]() {
      program[Symbol.dispose]();
      secret[Symbol.dispose]();
    },
  };
}

test('serve loads a renewed certificate, keeps its connections, and shuts down as usual', async () => {
  const [first, second] = await Promise.all([certificate(), certificate()]);
  using running = await serveSecret(first, ['--engine=direct', '--tls-reload-interval=1s']);
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

test('serve limits TLS handshakes by --max-handshakes, and logs that', async () => {
  const args = ['--engine=direct', '--max-handshakes=1'];
  using running = await serveSecret(await certificate(), args);
  const silent = connect(running.port, '127.0.0.1').on('error', () => {});
  const dropped = once(silent.resume(), 'close');
  await once(silent, 'connect');

  const taken = await handshake(running.port);

  assert.partialDeepStrictEqual(taken, { protocol: 'TLSv1.3' });
  await dropped;
  const detail = 'Cannot accept more than 1 TLS handshakes at once';
  await running.server.log.line({ reason: 'handshake_dropped', detail });
});

test('serve keeps its certificate while the file is a FIFO, and shuts down as usual', async () => {
  using running = await serveSecret(await certificate(), [
    '--engine=direct',
    '--tls-reload-interval=1s',
  ]);
  const { secret, server } = running;
  const path = secret.path('tls.crt');

  rmSync(path);
  assert.equal(spawnSync('mkfifo', [path]).status, 0);
  const { reason } = await server.log.line({ msg: 'keeping the last good certificate' });
  server.signal('SIGTERM');

  assert.equal(reason, `Cannot read "${path}": it must be a regular file of at most 1MiB`);
  assert.deepEqual(await server.ended, { code: 0, err: '' });
});

test('serve with TLS logs and counts a failed handshake, with the reason and the peer', async () => {
  const [own, authority] = await Promise.all([certificate(), certificate({ name: 'authority' })]);
  using authorities = mountSecret({ 'ca.crt': authority.cert });
  using running = await serveSecret(own, [
    '--engine=direct',
    `--tls-client-ca-file=${authorities.path('ca.crt')}`,
    '--admin-listen=127.0.0.1:0',
  ]);
  const { log } = running.server;
  const { port } = await log.line({ msg: 'admin listening' });

  for (let i = 0; i < 3; i++) await handshake(running.port);
  await handshake(running.port, await certificate({ name: 'stranger' }));

  const lines = await Promise.all(
    ['handshake_no_client_certificate', 'handshake_unknown_authority'].map((reason) =>
      log.line({ msg: 'connection error', reason }),
    ),
  );
  for (const { peer } of lines) assert.match(String(peer), /^127\.0\.0\.1:\d+$/);
  const metrics = parsePrometheus(await text(`http://127.0.0.1:${String(port)}/metrics`));
  const counted = metrics.filter(({ name }) => name === 'greeter_tls_handshake_errors_total');
  assert.deepEqual(
    counted.map(({ labels, value }) => [labels['reason'], value]),
    [
      ['no_client_certificate', 3],
      ['unknown_authority', 1],
    ],
  );
  assert.equal(log.lines.filter(({ msg }) => msg === 'connection error').length, 2);
});

async function text(url: string): Promise<string> {
  return (await fetch(url)).text();
}

test('serve reloads its certificate at SIGHUP, and cuts nothing', async () => {
  const [first, second] = await Promise.all([certificate(), certificate()]);
  using running = await serveSecret(first, ['--engine=direct', '--tls-reload-interval=1h']);
  const { port, server } = running;
  const open = dialTls(port);
  await heard(open);

  running.secret.swap(files(second));
  server.signal('SIGHUP');
  await server.log.line({ msg: 'reloading TLS files', signal: 'SIGHUP' });
  await server.log.line({ msg: 'serving certificate', serial: serialOf(second) });

  assert.partialDeepStrictEqual(await handshake(port), { serial: serialOf(second) });
  assert.equal(open.destroyed, false);
  server.signal('SIGTERM');
  assert.deepEqual(await server.ended, { code: 0, err: '' });
});

test('serve with TLS suggests a first call that works', async () => {
  using running = await serveSecret(await certificate());
  const line = await running.server.log.line({ msg: 'serving' });

  const [, flags = ''] = /^\S.* health (.*)$/.exec(String(line['try'])) ?? [];
  const probe = await running.program.run(['health', ...flags.split(' ')]);

  assert.equal(probe.code, 0);
});

test('serve with TLS answers plaintext probes on the health port, and nothing else there', async () => {
  using running = await serveSecret(await certificate(), ['--log-level', 'debug']);
  const { program, healthAddress, server } = running;
  const channel = dial({ address: healthAddress });

  for (const service of ['', 'liveness', 'readiness', 'grpc.health.v1.Health']) {
    const probe = await program.run(['health', '-addr', healthAddress, '-service', service]);
    assert.deepEqual(probe, { code: 0, out: 'status: SERVING\n', err: '' });
  }
  const unimplemented = { code: Status.UNIMPLEMENTED };
  const { serverReflectionInfo } = createClient(ServerReflectionDefinition, channel);
  await assert.rejects(Array.fromAsync(serverReflectionInfo(feed())), unimplemented);
  channel.close();
  await server.log.line({ 'rpc.method': 'grpc.health.v1.Health/Check', 'rpc.status_code': 'OK' });
  await server.log.line({
    'rpc.method': 'grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
    'rpc.status_code': 'UNIMPLEMENTED',
  });
  const inPlaintext = ['health', '-addr', server.address, '-connect-timeout', '200ms'];
  assert.equal((await program.run(inPlaintext)).code, 2);
});

test('the health port reports NOT_SERVING in all but liveness during shutdown', async () => {
  using running = await serveSecret(await certificate(), ['--shutdown-delay', '1h']);
  const channel = dial({ address: running.healthAddress });
  const health = createClient(HealthDefinition, channel);
  const watch = health.watch({ service: 'readiness' })[Symbol.asyncIterator]();
  const serving = await watch.next();

  running.server.signal('SIGTERM');
  const leaving = await watch.next();
  const alive = await health.check({ service: 'liveness' });

  assert.deepEqual(
    [serving.value?.status, leaving.value?.status, alive.status],
    [ServingStatus.SERVING, ServingStatus.NOT_SERVING, ServingStatus.SERVING],
  );
  channel.close();
});

test('the health port ends watches when the server has shut down, and exits 0 with it', async () => {
  using running = await serveSecret(await certificate(), ['--drain-timeout', '1h']);
  const channel = dial({ address: running.healthAddress });
  const health = createClient(HealthDefinition, channel);
  const watch = health.watch({ service: '' })[Symbol.asyncIterator]();
  await watch.next();

  running.server.signal('SIGTERM');
  const watched = Array.fromAsync({ [Symbol.asyncIterator]: () => watch });

  await assert.rejects(watched, { code: Status.UNAVAILABLE, details: 'Server is shutting down' });
  assert.deepEqual(await running.server.ended, { code: 0, err: '' });
  channel.close();
});

test('a health port in use is one clear line, and exit code 1', async (t) => {
  using program = install();
  const other = createServer();
  t.after(() => other.close());
  const address = `127.0.0.1:${await listenTcp(other)}`;

  const ended = await program.run(['--listen', '127.0.0.1:0', '--health-listen', address], {
    env: { GREETER_LOG_FORMAT: 'human' },
  });

  const hint = '--health-listen sets another address';
  const err = `Cannot listen on "${address}": address already in use; ${hint}\n`;
  assert.deepEqual(ended, { code: 1, out: '', err });
});

test('invalid TLS settings are all reported at once, with exit code 2', async () => {
  const [first, second] = await Promise.all([certificate(), certificate()]);
  using secret = mountSecret({ ...files({ ...first, key: second.key }), 'ca.crt': first.key });
  using program = install();
  const [cert, key, ca] = ['tls.crt', 'tls.key', 'ca.crt'].map((name) => secret.path(name));

  const { code, err } = await program.run([
    '--listen=127.0.0.1:1',
    '--health-listen=127.0.0.1:1',
    `--tls-cert-file=${cert}`,
    `--tls-key-file=${key}`,
    `--tls-client-ca-file=${ca}`,
    '--tls-reload-interval=10ms',
    '--log-format=human',
  ]);

  assert.equal(
    err,
    `Cannot start with these settings:
  --tls-reload-interval "10ms": must be a duration from 1s to 576h, such as 250ms, 5s or 1m30s
  --health-listen "127.0.0.1:1": must not be one of --listen as well
  --tls-cert-file "${cert}", --tls-key-file "${key}": must be a certificate and its key: the key is that of another
  --tls-client-ca-file "${ca}": must hold certificates in PEM, each of them whole
`,
  );
  assert.equal(code, 2);
});

test('health accepts an IP address as server name if the certificate has it', async () => {
  using running = await serveSecret(await certificate());
  const trust = ['-tls', '-tls-ca-cert', running.secret.path('tls.crt')];
  const ask = (host: string, name: string) => {
    const flags = ['-addr', `${host}:${running.port}`, ...trust, '-tls-server-name', name];
    return running.program.run(['health', ...flags, '-connect-timeout', '500ms']);
  };

  const good = { code: 0, out: 'status: SERVING\n', err: '' };
  assert.deepEqual(await ask('127.0.0.1', '127.0.0.1'), good);
  assert.deepEqual(await ask('localhost', '[::1]'), good);
  assert.equal((await ask('127.0.0.1', '127.0.0.2')).code, 2);
});
