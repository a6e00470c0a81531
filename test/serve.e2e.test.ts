import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { createClient } from 'nice-grpc';
import { Metadata } from 'nice-grpc-common';
import { HealthDefinition } from '../src/gen/grpc/health/v1/health.ts';
import { OrcaLoadReport } from '../src/gen/xds/data/orca/v3/orca_load_report.ts';
import { OpenRcaServiceDefinition } from '../src/gen/xds/service/orca/v3/orca.ts';
import { loadConfig } from '../src/config.ts';
import { loadServices } from '../src/services.ts';
import { dial } from '../src/transport/client.ts';
import { install } from './support/program.ts';
import { listenTcp } from './support/tcp.ts';

/** Errors of the start are human-readable then; elsewhere they are log lines. */
const human = ['--log-format', 'human'];

const inUse = 'address already in use';

test('the built file serves on its own in an empty folder, and shows how to try it', async () => {
  using program = install();
  const server = await program.serve();

  await createClient(HealthDefinition, server.channel).check({});

  const serving = await server.log.line({ msg: 'serving' });
  const services = await loadServices(loadConfig({ flags: {}, env: {} }));
  const names = services.map(({ definition }) => definition.fullName);
  assert.deepEqual(serving['services'], names);
  const line = String(serving['try']);
  assert.ok(line.startsWith(`${program.command} `) && line.endsWith(` --addr ${server.address}`));
});

test('serve suggests a command with an address that it listens on, quoted for a shell', async () => {
  using program = install();
  const places = [
    '127.0.0.1:0',
    '127.0.0.2:0',
    '[::1]:0',
    '0.0.0.0:0',
    '[::]:0',
    ':0',
    'localhost:0',
  ];

  for (const place of [...places, "unix:./it's $HOME [or] `not`.sock"]) {
    const server = await program.serve(['--listen', place]);
    const { try: line } = await server.log.line({ msg: 'serving' });
    const ended = await program.type(String(line));
    assert.deepEqual([ended.code, ended.err], [0, ''], String(line));
    assert.notEqual(ended.out, '');
    server.signal('SIGTERM');
    await server.ended;
  }
});

test('serve suggests the only address that it listens on, whoever else has the port', async () => {
  using program = install();
  for (const host of ['127.0.0.1', '127.0.0.2', '[::1]']) {
    const server = await program.serve(['--listen', `${host}:0`]);
    const { port } = await server.log.line({ msg: 'listening' });

    const { try: line } = await server.log.line({ msg: 'serving' });

    const address = `${host}:${String(port)}`;
    assert.match(String(line), new RegExp(` --addr "?${RegExp.escape(address)}"?$`));
  }
});

test('serve is the default command, and serves every service on every --listen address', async () => {
  using program = install();
  const server = await program.serve(['--listen', '127.0.0.1:0,[::1]:0']);
  const lines = server.log.lines.filter(({ msg }) => msg === 'listening');

  for (const { address, port } of lines) {
    const channel = dial({ address: String(address).replace(/0$/, String(port)) });
    await createClient(HealthDefinition, channel).check({});
    channel.close();
  }
  assert.equal(lines.length, 2);
});

test('--load-reports on reports the load with each call, and out of band', async () => {
  using program = install();
  const server = await program.serve(['--load-reports', 'on']);
  const health = createClient(HealthDefinition, server.channel);
  const orca = createClient(OpenRcaServiceDefinition, server.channel);
  let trailer = Metadata();
  const onTrailer = (got: Metadata) => void (trailer = got);

  await health.check({}, { onTrailer });
  const inTrailer = trailer.get('endpoint-load-metrics-bin');
  const { value: outOfBand } = await orca.streamCoreMetrics({})[Symbol.asyncIterator]().next();

  const reports = [inTrailer && OrcaLoadReport.decode(inTrailer), outOfBand];
  for (const report of reports) {
    const { memUtilization = 0 } = report ?? {};
    assert.ok(memUtilization > 0 && memUtilization < 1, `${memUtilization}`);
  }
});

test('a unix socket that a killed server left behind is replaced, one in use is not', async () => {
  using program = install();
  const listen = ['--listen', 'unix:greeter.sock'];
  const killed = await program.serve(listen);
  killed.signal('SIGKILL');
  await killed.ended;

  const next = await program.serve(listen);
  const third = await program.run([...listen, ...human]);
  const { out } = await program.run(['health', '-addr', 'unix:greeter.sock']);
  const file = await program.run(['--listen', 'unix:greeter.mjs', ...human]);
  next.signal('SIGTERM');

  assert.equal(out, 'status: SERVING\n');
  assert.match(
    file.err,
    /--listen "unix:greeter.mjs": must be free: "greeter.mjs" is not a socket$/m,
  );
  assert.equal(
    third.err,
    `Cannot listen on "unix:greeter.sock": ${inUse} by another greeter; --listen sets another address\n`,
  );
  assert.deepEqual(await next.ended, { code: 0, err: '' });
});

test('--log-format human writes human-readable lines', async () => {
  using program = install();

  const { code, out } = await program.run(['--listen', '127.0.0.1:0', '--log-format', 'human'], {
    stopAt: /serving/,
  });

  assert.equal(code, 0);
  assert.match(out, /INFO.*listening.*127\.0\.0\.1:0/);
});

test('a stalled reader of the log delays neither calls nor shutdown', async () => {
  using program = install();
  const server = await program.serve(['--log-level', 'debug']);
  const client = createClient(HealthDefinition, server.channel);
  const callMany = async (times: number) => {
    for (let i = 0; i < times; i++) await client.check({});
  };

  server.stallLog();
  await Promise.all(Array.from({ length: 20 }, () => callMany(200)));
  server.signal('SIGTERM');

  assert.deepEqual(await server.ended, { code: 0, err: '' });
});

test('a port in use is one clear line, and exit code 1', async (t) => {
  using program = install();
  const other = createServer();
  t.after(() => other.close());
  const address = `127.0.0.1:${await listenTcp(other)}`;

  const { code, out, err } = await program.run(['--listen', address, ...human]);

  assert.equal(err, `Cannot listen on "${address}": ${inUse}; --listen sets another address\n`);
  assert.deepEqual({ code, out }, { code: 1, out: '' });
});

test('a port in use by another greeter is one clear line that says so, and names the setting', async () => {
  using program = install();
  const plaintext = { GREETER_TLS_CERT_FILE: 'off', GREETER_TLS_KEY_FILE: 'off' };
  const other = await program.serve(['--admin-listen', '127.0.0.1:0'], { env: plaintext });
  const { port } = await other.log.line({ msg: 'admin listening' });
  const admin = `127.0.0.1:${String(port)}`;
  const free = ['--listen', '127.0.0.1:0', '--admin-listen', admin];

  const grpc = await program.run(human, { env: { GREETER_LISTEN: other.address } });
  const metrics = await program.run([...free, ...human]);

  const by = `${inUse} by another greeter;`;
  assert.equal(
    grpc.err,
    `Cannot listen on "${other.address}": ${by} GREETER_LISTEN sets another address\n`,
  );
  assert.equal(
    metrics.err,
    `Cannot listen on "${admin}": ${by} --admin-listen sets another address\n`,
  );
});

test('invalid settings are all reported at once, with exit code 2', async () => {
  using program = install();
  const env = { GREETER_DRAIN_TIMEOUT: '3', GREETER_PORT: 'tcp://10.0.0.1:50051' };

  const { code, err } = await program.run(
    ['--log-level=loud', '--nope', '5', '--listn=:1', 'extra', ...human],
    { env },
  );

  assert.equal(
    err,
    `Cannot start with these settings:
  --nope: unknown flag
  --listn=:1: unknown flag; the nearest is --listen
  "extra": unexpected argument
  --log-level "loud": must be one of debug, info, warn, error
  GREETER_DRAIN_TIMEOUT "3": must be a duration from 0s to 576h, such as 250ms, 5s or 1m30s
`,
  );
  assert.equal(code, 2);
});

test('a failed start is a JSON log line on standard error if the log is JSON', async (t) => {
  using program = install();
  const other = createServer();
  t.after(() => other.close());
  const address = `127.0.0.1:${await listenTcp(other)}`;
  const wrong = { GREETER_DRAIN_TIMEOUT: '5' };
  const rule = 'must be a duration from 0s to 576h, such as 250ms, 5s or 1m30s';

  const taken = await program.run(['--listen', address]);
  const bad = await program.run(['--nope'], { env: wrong });
  const unclear = await program.run(['--log-format=loud'], { env: wrong });
  const checked = await program.run(['check-config'], { env: wrong });

  for (const [{ code, out, err }, expected, reason] of [
    [taken, 1, `Cannot listen on "${address}": ${inUse}; --listen sets another address`],
    [bad, 2, `--nope: unknown flag; GREETER_DRAIN_TIMEOUT "5": ${rule}`],
    [
      unclear,
      2,
      `--log-format "loud": must be one of auto, json, human; GREETER_DRAIN_TIMEOUT "5": ${rule}`,
    ],
  ] as const) {
    const { time, ...line } = JSON.parse(err);
    assert.deepEqual(line, { level: 'error', reason, msg: 'cannot start' });
    assert.ok(Math.abs(Date.parse(time) - Date.now()) < 60_000);
    assert.deepEqual([code, out, err.split('\n').length], [expected, '', 2]);
  }
  // This is the output of a command, not a log.
  assert.equal(
    checked.err,
    `Cannot start with these settings:\n  GREETER_DRAIN_TIMEOUT "5": ${rule}\n`,
  );
});

test('an unknown command lists the existing ones, with exit code 2', async () => {
  using program = install();

  const { code, err } = await program.run(['toString']);

  assert.match(
    err,
    /^Cannot run this command:\n {2}"toString": must be one of serve, (.*, )?health, check-config\n$/,
  );
  assert.equal(code, 2);
});

test('check-config prints the settings, or their errors', async () => {
  using program = install();

  const good = await program.run(['check-config', '--drain-timeout', '1m30s'], {
    env: { GREETER_LISTEN: 'unix:x' },
  });
  const bad = await program.run(['check-config', '--drain-timeout', '5']);

  assert.partialDeepStrictEqual(JSON.parse(good.out), {
    drainTimeout: 90_000,
    defaultDeadline: null,
    listen: [{ text: 'unix:x', path: 'x' }],
  });
  // Not "auto", but the derived value.
  const { maxConnections, maxHandshakes } = JSON.parse(good.out);
  assert.ok(maxConnections > 0 && maxHandshakes > 0);
  assert.equal(good.code, 0);
  assert.match(bad.err, /--drain-timeout "5": must be a duration/);
  assert.equal(bad.code, 2);
});

test('--version and --help print, and every command has flags and examples', async () => {
  using program = install();

  const version = await program.run(['--version']);
  const help = await program.run(['--help']);
  // The commit, if the build knew it.
  assert.match(version.out, /^greeter \d+\.\d+\.\d+( \([0-9a-f]{7,40}(-dirty)?\))?\n$/);
  const list = help.out.split('\nCommands:\n')[1]?.split('\n\n')[0] ?? '';
  const commands = list.split('\n').map((line) => line.trim().split(' ')[0] ?? '');
  assert.ok(['serve', 'health', 'check-config'].every((name) => commands.includes(name)));
  for (const command of commands) {
    const { code, out } = await program.run([command, '--help']);
    assert.match(out, new RegExp(`\nExamples:\n  # .*\n  greeter ${command}`));
    assert.match(out, /\nFlags:\n  -/);
    assert.deepEqual(tooWide(out), []);
    assert.equal(code, 0);
  }
  assert.deepEqual(tooWide(help.out), []);
});

/** The lines that do not fit into a terminal of 80 columns. */
function tooWide(text: string): string[] {
  return text.split('\n').filter((line) => line.length > 80);
}
