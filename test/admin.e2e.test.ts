import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { test } from 'node:test';
import { createClient } from 'nice-grpc';
import packageJson from '../package.json' with { type: 'json' };
import { ScriptDefinition } from './echo/gen/echo.ts';
import { unendingPing } from './support/script.ts';
import { installEcho } from './support/echo_program.ts';
import type { Served } from './support/program.ts';
import { parsePrometheus } from './support/prometheus.ts';
import { listenTcp } from './support/tcp.ts';

const flags = ['--admin-listen', '127.0.0.1:0'];

async function adminOf({ log }: Served) {
  const { port } = await log.line({ msg: 'admin listening' });
  return {
    port: Number(port),
    get: (path: string) => fetch(`http://127.0.0.1:${String(port)}${path}`),
  };
}

test("/metrics has the calls, the health and the version in Prometheus' format", async () => {
  using program = installEcho();
  const server = await program.serve(flags);
  const admin = await adminOf(server);
  await createClient(ScriptDefinition, server.channel).unary({});
  await server.log.line({
    'rpc.method': 'echo.Script/Unary',
    'rpc.status_code': 'OK',
  });

  const answer = await admin.get('/metrics');

  const samples = parsePrometheus(await answer.text());
  const find = (name: string, some: Record<string, string> = {}) =>
    samples.find(
      (sample) =>
        sample.name === name && Object.entries(some).every(([k, v]) => sample.labels[k] === v),
    );
  assert.equal(answer.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8');
  const method = { grpc_service: 'echo.Script', grpc_method: 'Unary' };
  const call = { ...method, grpc_type: 'unary', grpc_code: 'OK' };
  assert.equal(find('grpc_server_handled_total', call)?.value, 1);
  assert.equal(find('greeter_health_serving', { service: 'readiness' })?.value, 1);
  assert.equal(find('greeter_build_info', { version: packageJson.version })?.value, 1);
  assert.ok((find('process_resident_memory_bytes')?.value ?? 0) > 10_000_000);
  assert.ok((find('nodejs_heap_size_limit_bytes')?.value ?? 0) > 10_000_000);
  assert.ok((find('nodejs_eventloop_active_seconds_total')?.value ?? 0) > 0);
});

test('/readyz answers 503 during shutdown, and the admin port closes last', async () => {
  using program = installEcho();
  const server = await program.serve([...flags, '--drain-timeout', '1h']);
  const admin = await adminOf(server);
  const client = createClient(ScriptDefinition, server.channel);
  const cancel = new AbortController();
  const chat = client.bidi(unendingPing(), { signal: cancel.signal });
  const replies = chat[Symbol.asyncIterator]();
  await replies.next();
  const before = await admin.get('/readyz');

  server.signal('SIGTERM');
  await server.log.line({ msg: 'shutting down' });
  const leaving = await Promise.all(['/readyz', '/livez', '/metrics'].map(admin.get));
  const scrape = connect(admin.port, '127.0.0.1');
  scrape.on('error', () => {}).write('GET /metrics HTTP/1.1\r\n');
  await once(scrape, 'connect');
  cancel.abort();
  await assert.rejects(replies.next(), { name: 'AbortError' });

  assert.equal(before.status, 200);
  assert.deepEqual(
    leaving.map(({ status }) => status),
    [503, 200, 200],
  );
  assert.deepEqual(await server.ended, { code: 0, err: '' });
});

test('an admin port in use is one clear line, and exit code 1', async (t) => {
  using program = installEcho();
  const other = createServer();
  t.after(() => other.close());
  const address = `127.0.0.1:${await listenTcp(other)}`;

  const { code, out, err } = await program.run(['--listen', '127.0.0.1:0'], {
    env: { GREETER_ADMIN_LISTEN: address, GREETER_LOG_FORMAT: 'human' },
  });

  const hint = 'GREETER_ADMIN_LISTEN sets another address';
  assert.equal(err, `Cannot listen on "${address}": address already in use; ${hint}\n`);
  assert.deepEqual({ code, out }, { code: 1, out: '' });
});

test('a gRPC port in use also closes the admin port', async (t) => {
  using program = installEcho();
  const other = createServer();
  t.after(() => other.close());
  const address = `127.0.0.1:${await listenTcp(other)}`;

  const { code, err } = await program.run(['--log-format=human', '--listen', address, ...flags]);

  assert.match(err, /^Cannot listen on ".*": address already in use;/);
  assert.equal(code, 1);
});

test('--admin-listen off opens no admin port', async () => {
  using program = installEcho();

  const server = await program.serve(['--admin-listen', 'off']);
  await createClient(ScriptDefinition, server.channel).unary({});

  assert.ok(!server.log.lines.some(({ msg }) => msg === 'admin listening'));
});
