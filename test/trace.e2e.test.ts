import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { createClient } from 'nice-grpc';
import { HealthDefinition } from '../src/gen/grpc/health/v1/health.ts';
import { certificate } from './support/certificate.ts';
import { startCollector } from './support/collector.ts';
import { engineName } from './support/harness.ts';
import { install, type Served } from './support/program.ts';
import { listenTcp } from './support/tcp.ts';

/** Calls of Health are logged at this level. */
const debug = ['--log-level', 'debug'];
const json = { OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' };

/** Makes a call and stops the server; returns the log line of the call. */
async function callAndStop(server: Served) {
  await createClient(HealthDefinition, server.channel).check({});
  const line = await server.log.line({ 'rpc.method': 'grpc.health.v1.Health/Check' });
  server.signal('SIGTERM');
  assert.deepEqual(await server.ended, { code: 0, err: '' });
  return line;
}

test('a server with a collector sends its spans before it exits, and logs their IDs', async () => {
  using program = install();
  await using collector = await startCollector();
  const env = { ...json, OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_SERVICE_NAME: 'mine' };

  const line = await callAndStop(await program.serve(debug, { env }));

  const [span, ...others] = collector.spans;
  assert.ok(span);
  assert.deepEqual(others, []);
  assert.equal(collector.posts[0]?.path, '/v1/traces');
  assert.partialDeepStrictEqual(span, {
    name: 'grpc.health.v1.Health/Check',
    traceId: line['trace_id'],
    spanId: line['span_id'],
    resource: { 'service.name': 'mine' },
  });
});

test('a span has the dialled host and the peer, also over IPv6 and unix sockets', async () => {
  using program = install();
  await using collector = await startCollector();
  const off = { GREETER_TLS_CERT_FILE: 'off', GREETER_TLS_KEY_FILE: 'off' };
  const env = { ...off, ...json, OTEL_EXPORTER_OTLP_ENDPOINT: collector.url };
  const server = await program.serve(['--listen', '[::1]:0,unix:greeter.sock'], { env });
  const { port } = await server.log.line({ address: '[::1]:0' });
  const addresses = [`[::1]:${String(port)}`, 'unix:greeter.sock'];

  for (const address of addresses) await program.run(['health', '-addr', address]);
  server.signal('SIGTERM');
  await server.ended;

  const [overTcp, overUnix] = collector.spans.map(({ attributes }) => attributes);
  assert.equal(overTcp?.['network.peer.address'], '::1');
  assert.equal(overUnix?.['network.peer.address'], undefined);
  // grpc-js does not expose the authority.
  const dialled = [overTcp, overUnix].map((span) => span?.['server.address']);
  assert.deepEqual(
    dialled,
    engineName === 'direct' ? ['::1', 'localhost'] : [undefined, undefined],
  );
});

const collectors: [string, (response: ServerResponse) => void][] = [
  ['is slow', () => {}],
  ['answers 503', (response) => void response.writeHead(503).end()],
  ['answers 400', (response) => void response.writeHead(400).end('not this')],
  ['answers nonsense', (response) => void response.end('<html>')],
];

for (const [does, answer] of collectors) {
  test(`a server whose collector ${does} serves, and exits in time with 0`, async () => {
    using program = install();
    await using collector = await startCollector({ answer });
    const env = {
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_BSP_SCHEDULE_DELAY: '1',
      OTEL_EXPORTER_OTLP_TIMEOUT: '60000',
    };

    await callAndStop(await program.serve(debug, { env }));

    assert.ok(collector.posts.length > 0);
  });
}

test('a server whose collector is unreachable serves, warns once, and exits in time with 0', async () => {
  using program = install();
  const away = createServer();
  const port = await listenTcp(away);
  await new Promise((resolve) => away.close(resolve));
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}` };
  const server = await program.serve(debug, { env });

  await callAndStop(server);

  const warnings = server.log.lines.filter(({ level }) => level === 'warn');
  assert.equal(warnings.length, 1);
  assert.partialDeepStrictEqual(warnings[0], {
    msg: 'spans may be lost',
    collector: `127.0.0.1:${port}`,
  });
});

const grpc = {
  OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
  OTEL_BSP_SCHEDULE_DELAY: '5s',
};
const grpcReasons = [
  'OTEL_EXPORTER_OTLP_PROTOCOL "grpc": must be one of http/protobuf, http/json: HTTP is sent, usually to port 4318',
  'OTEL_BSP_SCHEDULE_DELAY "5s": must be a whole number from 1 to 3600000',
];
const unusable = { OTEL_EXPORTER_OTLP_CERTIFICATE: '/nowhere', OTEL_EXPORTER_OTLP_ENDPOINT: 'a:1' };
const unusableReason = `OTEL_EXPORTER_OTLP_ENDPOINT "a:1": must be a URL, http://HOST:PORT or https://HOST:PORT; OTEL_EXPORTER_OTLP_CERTIFICATE "/nowhere": must be a file that can be read: ENOENT: no such file or directory, open '/nowhere'`;

test("unknown words in OpenTelemetry's variables are warnings, and spans are sent", async () => {
  using program = install();
  await using collector = await startCollector();
  const env = { ...grpc, OTEL_EXPORTER_OTLP_ENDPOINT: collector.url };
  const server = await program.serve(debug, { env });

  await callAndStop(server);

  const told = server.log.lines.filter(({ msg }) => msg === 'the default is used');
  assert.deepEqual(
    told.map(({ level, reason }) => [level, reason]),
    grpcReasons.map((reason) => ['warn', reason]),
  );
  assert.ok(collector.posts.length > 0);
});

test('a server that could not send its spans reports it in one line, and serves without', async () => {
  using program = install();
  const server = await program.serve(debug, { env: unusable });

  const line = await callAndStop(server);

  assert.equal(line['trace_id'], undefined);
  const errors = server.log.lines.filter(({ level }) => level === 'error');
  assert.deepEqual(
    errors.map(({ msg, reason }) => [msg, reason]),
    [['tracing is off', unusableReason]],
  );
});

test('check-config prints to standard error what serve would log of these variables', async () => {
  using program = install();
  const on = { OTEL_TRACES_EXPORTER: 'otlp' };

  const warned = await program.run(['check-config'], { env: { ...on, ...grpc } });
  const off = await program.run(['check-config'], { env: unusable });

  assert.equal(
    warned.err,
    grpcReasons.map((reason) => `the default is used: ${reason}\n`).join(''),
  );
  assert.equal(off.err, `tracing is off: ${unusableReason}\n`);
  assert.deepEqual([warned.code, off.code], [0, 0]);
  assert.equal(JSON.parse(warned.out).tracing.scheduleDelay, 5000);
  assert.equal(JSON.parse(off.out).tracing, null);
});

test("check-config shows OpenTelemetry's settings, but no header, no key and no password", async (t) => {
  using program = install();
  const folder = mkdtempSync(join(tmpdir(), 'greeter-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'both.pem');
  const { cert, key } = await certificate();
  writeFileSync(file, `${cert}\n${key}`);
  const env = {
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://user:s3cret@localhost:4318?key=s3cret',
    OTEL_EXPORTER_OTLP_HEADERS: 'api-key=s3cret',
    OTEL_EXPORTER_OTLP_CLIENT_KEY: file,
    OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: file,
  };

  const { code, out } = await program.run(['check-config'], { env });

  assert.equal(code, 0);
  assert.partialDeepStrictEqual(JSON.parse(out), {
    tracing: {
      url: 'http://hidden@localhost:4318/v1/traces?hidden',
      headers: 'hidden',
      clientKey: file,
    },
  });
  assert.doesNotMatch(out, /s3cret|BEGIN/);
});

/** Prints the modules of OpenTelemetry that are loaded, by import or require(), to standard error. */
const hook = `data:text/javascript,${encodeURIComponent(`
  import { registerHooks } from 'node:module';
  registerHooks({
    resolve(specifier, context, next) {
      if (specifier.startsWith('@opentelemetry/')) console.error(specifier);
      return next(specifier, context);
    },
  });
`)}`;

/** The modules of OpenTelemetry that the sources load until they serve. */
async function loadedBy(env: Record<string, string>): Promise<string> {
  const main = join(import.meta.dirname, '../src/main.ts');
  const ports = ['--listen', '127.0.0.1:0', '--admin-listen', '127.0.0.1:0'];
  const args = ['--import', hook, main, 'serve', ...ports];
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let seen = '';
  child.stdout.on('data', (chunk: Buffer) => {
    seen += chunk.toString();
    if (seen.includes('"serving"')) child.kill();
  });
  return text(child.stderr);
}

test('a server without tracing loads nothing of OpenTelemetry', async () => {
  assert.equal(await loadedBy({}), '');
  assert.equal(await loadedBy({ OTEL_SDK_DISABLED: 'true', OTEL_TRACES_EXPORTER: 'otlp' }), '');
  assert.match(await loadedBy({ OTEL_TRACES_EXPORTER: 'otlp' }), /^@opentelemetry\/sdk-trace$/m);
});
