import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { certificate } from '../test/support/certificate.ts';
import { loadConfig, loadResolved, settingRows, UsageError } from './config.ts';

/** The problems that loading finds. */
function problemsOf(sources: Parameters<typeof loadConfig>[0]): readonly string[] {
  try {
    loadConfig(sources);
  } catch (error) {
    if (error instanceof UsageError) return error.problems;
    throw error;
  }
  return [];
}

test('loadConfig() requires nothing: every setting has a valid default', () => {
  const config = loadConfig({ flags: {}, env: {} });

  assert.partialDeepStrictEqual(config, {
    listen: [{ text: ':50051', host: undefined, port: 50_051 }],
    healthListen: [],
    adminListen: [{ text: ':9464', host: undefined, port: 9464 }],
    engine: 'direct',
    loadReports: false,
    tlsCertFile: undefined,
    tlsKeyFile: undefined,
    tlsClientCaFile: undefined,
    tlsReloadInterval: 10_000,
    logLevel: 'info',
    logFormat: 'auto',
    accessLog: 'all',
    shutdownDelay: 0,
    drainTimeout: 20_000,
    compressResponsesAbove: undefined,
    defaultDeadline: undefined,
    maxDeadline: 3_600_000,
    maxConnections: 15_000,
    maxHandshakes: 256,
    maxConnectionAge: 300_000,
    maxConnectionAgeGrace: 20_000,
    idleTimeout: 300_000,
    keepaliveTime: 60_000,
    keepaliveTimeout: 20_000,
    maxBufferedBytes: 64 * 1024 * 1024,
    maxInFlight: 10_000,
    maxConcurrentStreams: 1000,
    maxResetsPerSecond: 500,
    maxControlFramesPerSecond: 500,
    maxHeaderSize: 16 * 1024,
    maxMessageSize: 4 * 1024 * 1024,
    tracing: undefined,
  });
});

test('loadConfig() prefers the flag to the variable, and the variable to the default', () => {
  const env = { GREETER_DRAIN_TIMEOUT: '2s', GREETER_SHUTDOWN_DELAY: '3s', GREETER_LOG_LEVEL: '' };

  const config = loadConfig({ flags: { 'drain-timeout': '1s' }, env });

  assert.deepEqual(
    [config.drainTimeout, config.shutdownDelay, config.logLevel],
    [1000, 3000, 'info'],
  );
});

test('loadConfig() reports every error at once, with name, value and rule', () => {
  const problems = problemsOf({
    flags: { 'log-level': 'loud', 'drain-timeout': true, 'max-message-size': '1TiB' },
    env: { GREETER_LISTEN: '50051', GREETER_MAX_CONCURRENT_STREAMS: '0' },
    problems: ['--nope: unknown flag'],
  });

  assert.deepEqual(problems, [
    '--nope: unknown flag',
    'GREETER_LISTEN "50051": must be :PORT, HOST:PORT, [V6]:PORT or unix:PATH, with commas between',
    '--log-level "loud": must be one of debug, info, warn, error',
    '--drain-timeout: needs a value',
    'GREETER_MAX_CONCURRENT_STREAMS "0": must be a whole number from 1 to 1000000',
    '--max-message-size "1TiB": must be a size from 1KiB to 1GiB, such as 64KiB or 4MiB',
  ]);
});

test('loadConfig() reports all conflicts between limits at once', () => {
  const flags = {
    'default-deadline': '2h',
    'keepalive-time': '5s',
    'max-message-size': '32MiB',
    'max-connection-age': '0s',
  };

  assert.deepEqual(problemsOf({ flags, env: {} }), [
    '--max-connection-age "0s": must be a duration from 1s to 576h, such as 250ms, 5s or 1m30s, or none',
    '--default-deadline: must be at most --max-deadline',
    '--keepalive-timeout: must be at most --keepalive-time',
    '--max-buffered-bytes: must be at least 67190784, for two messages of --max-message-size: one in use, one on its way',
  ]);
  assert.deepEqual(
    problemsOf({ flags: { engine: 'grpc-js', 'max-message-size': '65MiB' }, env: {} }),
    [],
  );
});

test('loadConfig() names the variable if a variable was set, and the flag if a flag was', async (t) => {
  const env = {
    GREETER_LISTEN: ':1',
    GREETER_ADMIN_LISTEN: ':1',
    GREETER_KEEPALIVE_TIMEOUT: '50s',
    GREETER_MAX_DEADLINE: '1m',
    GREETER_DEFAULT_DEADLINE: '3s',
    GREETER_TLS_CERT_FILE: '/none/--listen',
  };
  const flags = { 'keepalive-time': '5s', 'default-deadline': '2m' };
  const folder = mkdtempSync(join(tmpdir(), 'greeter-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const pemFile = join(folder, 'ca.pem');
  writeFileSync(pemFile, (await certificate()).cert);

  assert.deepEqual(problemsOf({ flags, env }), [
    'GREETER_TLS_CERT_FILE "/none/--listen": must be a file that can be read: ENOENT: no such file or directory, open \'/none/--listen\'',
    'GREETER_ADMIN_LISTEN ":1": must not be one of GREETER_LISTEN as well',
    '--default-deadline: must be at most GREETER_MAX_DEADLINE',
    'GREETER_KEEPALIVE_TIMEOUT: must be at most --keepalive-time',
  ]);
  assert.deepEqual(problemsOf({ flags: {}, env: { GREETER_TLS_CLIENT_CA_FILE: pemFile } }), [
    'GREETER_TLS_CLIENT_CA_FILE: needs --tls-cert-file and --tls-key-file',
  ]);
});

test('loadResolved() resolves names, and rejects addresses that overlap then', async () => {
  const flags = { listen: 'localhost:1' };
  const env = { GREETER_ADMIN_LISTEN: '127.0.0.1:1' };
  const lookup = async () => ['127.0.0.1'];

  await assert.rejects(loadResolved({ flags, env }, lookup), {
    problems: ['GREETER_ADMIN_LISTEN "127.0.0.1:1": must not overlap "localhost:1" of --listen'],
  });
  assert.deepEqual(await loadResolved({ flags: {}, env: {} }), loadConfig({ flags: {}, env: {} }));
});

test('loadConfig() accepts none for times without a limit', () => {
  const names = ['max-connection-age', 'max-connection-age-grace', 'idle-timeout'];
  const flags = Object.fromEntries(names.map((name) => [name, 'none']));

  const { maxConnectionAge, maxConnectionAgeGrace, idleTimeout } = loadConfig({ flags, env: {} });

  const forever = Number.POSITIVE_INFINITY;
  assert.deepEqual(
    [maxConnectionAge, maxConnectionAgeGrace, idleTimeout],
    [forever, forever, forever],
  );
});

test('loadConfig() derives the numbers of connections and handshakes from the memory limit', () => {
  const limits = (memory: number, flags: Record<string, string> = {}) => {
    const config = loadConfig({ flags, env: {}, memory: memory * 1024 ** 2 });
    return [config.maxConnections, config.maxHandshakes];
  };

  const pod = { 'max-buffered-bytes': '32MiB' };
  assert.deepEqual(limits(256, pod), [5032, 137]);
  assert.deepEqual(limits(256), [1170, 32]);
  assert.deepEqual(limits(512), [15_000, 256]);
  assert.deepEqual(limits(256, { 'max-connections': '20000' }), [20_000, 32]);
  assert.deepEqual(limits(256, { 'max-handshakes': '1000' }), [1170, 1000]);
  assert.deepEqual(problemsOf({ flags: { 'max-handshakes': '0' }, env: {} }), [
    '--max-handshakes "0": must be a whole number from 1 to 1000000, or auto',
  ]);
});

test('no setting has a variable that Kubernetes sets for a Service named greeter', () => {
  const kubernetes = /^GREETER_(PORT|SERVICE_|\d+_)/;

  const names = settingRows().map(({ env }) => env);

  assert.deepEqual(
    names.filter((name) => kubernetes.test(name)),
    [],
  );
});

test('loadConfig() ignores unknown variables', () => {
  const env = { GREETER_PORT: 'tcp://10.0.0.1:50051', GREETER_SERVICE_HOST: '10.0.0.1' };

  assert.deepEqual(problemsOf({ flags: {}, env }), []);
});

test('loadConfig() reports errors of the TLS files, individually and combined', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'greeter-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const [one, other] = await Promise.all([certificate(), certificate()]);
  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const cert = file('cert.pem', one.cert);
  const key = file('key.pem', one.key);
  const otherKey = file('other.pem', other.key);
  const noPem = file('no.pem', 'hello');
  const cut = file('cut.pem', `${one.cert}\n${other.cert.slice(0, 300)}`);
  const flagsOf = (...given: (string | undefined)[]) => {
    const names = ['tls-cert-file', 'tls-key-file', 'tls-client-ca-file'];
    return { flags: Object.fromEntries(names.map((name, i) => [name, given[i]])), env: {} };
  };

  assert.equal(loadConfig(flagsOf(cert, key, cert)).tlsCertFile?.pem, one.cert);
  assert.deepEqual(problemsOf(flagsOf(`${cert}x`, noPem, cut)), [
    `--tls-cert-file "${cert}x": must be a file that can be read: ENOENT: no such file or directory, open '${cert}x'`,
    `--tls-key-file "${noPem}": must be a PEM file`,
  ]);
  assert.deepEqual(problemsOf(flagsOf(cert)), [
    '--tls-cert-file, --tls-key-file: must be given together',
  ]);
  assert.deepEqual(problemsOf(flagsOf(undefined, undefined, cert)), [
    '--tls-client-ca-file: needs --tls-cert-file and --tls-key-file',
  ]);
  assert.deepEqual(problemsOf(flagsOf(cert, otherKey, cut)), [
    `--tls-cert-file "${cert}", --tls-key-file "${otherKey}": must be a certificate and its key: the key is that of another`,
    `--tls-client-ca-file "${cut}": must hold certificates in PEM, each of them whole`,
  ]);
  assert.match(String(problemsOf(flagsOf(cut, key))), /certificates in PEM, each of them whole/);
  const glued = file('glued.pem', `${one.cert.trim()}${other.cert}`);
  assert.match(String(problemsOf(flagsOf(glued, key))), /certificates in PEM, each of them whole/);
  assert.match(String(problemsOf(flagsOf(cert, cert))), /must be a private key in PEM/);
});

test('loadConfig() serves plaintext health on :50052 with TLS, otherwise nowhere, unless it is set', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'greeter-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const { cert, key } = await certificate();
  writeFileSync(join(folder, 'both.pem'), `${cert}\n${key}`);
  const both = join(folder, 'both.pem');
  const tls = { 'tls-cert-file': both, 'tls-key-file': both };
  const health = (flags: Record<string, string>) =>
    loadConfig({ flags, env: {} }).healthListen.map(({ text }) => text);

  assert.deepEqual(health({}), []);
  assert.deepEqual(health(tls), [':50052']);
  assert.deepEqual(health({ ...tls, 'health-listen': 'off' }), []);
  assert.deepEqual(health({ 'health-listen': ':1,[::1]:2' }), [':1', '[::1]:2']);
  assert.deepEqual(problemsOf({ flags: { ...tls, listen: ':1,:50052' }, env: {} }), [
    '--health-listen ":50052": must not be one of --listen as well',
  ]);
  assert.deepEqual(problemsOf({ flags: { ...tls, 'admin-listen': ':50052' }, env: {} }), [
    '--admin-listen ":50052": must not be one of --health-listen as well',
  ]);
  assert.match(
    String(problemsOf({ flags: { 'health-listen': '1' }, env: {} })),
    /--health-listen "1": must be :PORT, .*, or auto or off/,
  );
});

test('loadConfig() rejects an address that is in two lists, however it is written', () => {
  const problems = (flags: Record<string, string>) => problemsOf({ flags, env: {} });

  assert.deepEqual(problems({ 'admin-listen': ':50051' }), [
    '--admin-listen ":50051": must not be one of --listen as well',
  ]);
  assert.deepEqual(problems({ listen: ':1', 'health-listen': '127.0.0.1:1,:2,:0' }), [
    '--health-listen "127.0.0.1:1": must not overlap ":1" of --listen',
  ]);
  assert.deepEqual(problems({ 'health-listen': '[::1]:9464,unix:a', 'admin-listen': ':9464' }), [
    '--admin-listen ":9464": must not overlap "[::1]:9464" of --health-listen',
  ]);
  assert.deepEqual(problems({ listen: ':0,:0', 'health-listen': ':0', 'admin-listen': ':0' }), []);
  // Nobody asked for the default of a list that cannot be read.
  assert.deepEqual(problems({ listen: '1', 'admin-listen': ':50051' }).length, 1);
});

test('loadConfig() returns a key that prints as its path only', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'greeter-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  const pair = await certificate();
  writeFileSync(cert, pair.cert);
  writeFileSync(key, pair.key);

  const config = loadConfig({ flags: { 'tls-cert-file': cert, 'tls-key-file': key }, env: {} });

  assert.equal(JSON.parse(JSON.stringify(config)).tlsKeyFile, key);
  assert.doesNotMatch(JSON.stringify(config), /BEGIN/);
});

test('loadConfig() reads the rules for faults, and names what is wrong with them', () => {
  const faultsOf = (faults: string) => loadConfig({ flags: { faults }, env: {} }).faults;

  assert.deepEqual(faultsOf('on'), []);
  assert.equal(faultsOf('off'), undefined);
  assert.partialDeepStrictEqual(faultsOf('status=UNAVAILABLE;p=0.2'), [{ code: 14, p: 0.2 }]);
  const problems = problemsOf({ flags: { faults: 'refuse, oops' }, env: {} });
  assert.equal(problems.length, 1);
  assert.match(problems[0] ?? '', /^--faults "refuse, oops": must be .*entry 2, "oops"/);
});

test('loadConfig() reads where the server runs, and leaves out what no header can have', () => {
  const env = { POD_NAME: 'greeter-1', POD_NAMESPACE: 'a b', NODE_NAME: 'node-1', NODE_ZONE: '' };

  const { place } = loadConfig({ flags: {}, env });

  assert.deepEqual(place, ['x-greeter-pod', 'greeter-1', 'x-greeter-node', 'node-1']);
});
