import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { test, type TestContext } from 'node:test';
import { install } from './support/program.ts';
import { listenTcp } from './support/tcp.ts';

const nowhere = 'http://127.0.0.1:1';
const everywhere = { grpc_proxy: nowhere, https_proxy: nowhere, http_proxy: nowhere };

/** A proxy that connects to this port for all requests, and records them. */
async function openProxy(t: TestContext, port: number) {
  const asked: { target: string | undefined; credentials: string | undefined }[] = [];
  const proxy = createServer().on('connect', (request, socket) => {
    asked.push({ target: request.url, credentials: request.headers['proxy-authorization'] });
    const server = connect(port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      server.pipe(socket).pipe(server);
    });
    socket.on('error', () => server.destroy());
    server.on('error', () => socket.destroy());
  });
  t.after(() => proxy.close());
  return { url: `http://me:secret@127.0.0.1:${await listenTcp(proxy)}`, asked };
}

test('health connects to this machine without a proxy, however it is written', async () => {
  using program = install();
  const server = await program.serve(['--listen', '127.0.0.1:0,[::1]:0', '--engine', 'direct']);
  const [port4, port6] = server.log.lines.flatMap(({ msg, port }) =>
    msg === 'listening' ? [String(port)] : [],
  );

  for (const addr of [
    `127.0.0.1:${port4}`,
    `localhost:${port4}`,
    `LOCALHOST:${port4}`,
    `:${port4}`,
    `0.0.0.0:${port4}`,
    `[::1]:${port6}`,
    `[::ffff:127.0.0.1]:${port4}`,
    `dns:///localhost:${port4}`,
    `ipv4:127.0.0.1:${port4}`,
  ]) {
    const { code, err } = await program.run(['health', '-addr', addr], { env: everywhere });
    assert.deepEqual({ code, err }, { code: 0, err: '' }, addr);
  }
});

test('health connects to others through the proxy, except to those in no_proxy', async (t) => {
  using program = install();
  const server = await program.serve();
  const { url, asked } = await openProxy(t, Number(server.address.split(':')[1]));
  const ask = (no_proxy: string, connectTimeout = '200ms') => {
    const flags = ['-addr', 'pod.greeter.test:50051', '-connect-timeout', connectTimeout];
    return program.run(['health', ...flags], { env: { https_proxy: url, no_proxy } });
  };

  const through = await ask('other.test,ter.test,', '20s');
  const once = asked.splice(0);
  const direct = await Promise.all(
    ['*', 'greeter.test', '.Greeter.Test:50051'].map((each) => ask(each)),
  );

  assert.deepEqual(through, { code: 0, out: 'status: SERVING\n', err: '' });
  const credentials = `Basic ${Buffer.from('me:secret').toString('base64')}`;
  assert.deepEqual(once, [{ target: 'pod.greeter.test:50051', credentials }]);
  // The name cannot be resolved.
  assert.deepEqual(
    direct.map(({ code }) => code),
    [2, 2, 2],
  );
  assert.deepEqual(asked, []);
});
