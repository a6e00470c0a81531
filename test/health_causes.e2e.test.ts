import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createSecureServer, createServer, type SecureServerOptions } from 'node:http2';
import { createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { certificate } from './support/certificate.ts';
import { install } from './support/program.ts';
import { listenTcp } from './support/tcp.ts';

/**
 * The reason that `health` prints for a failed connection; asserts exit code 2. It tries for a second, so tests run
 * concurrently.
 */
async function causeOf(addr: string, flags: readonly string[] = []): Promise<string> {
  using program = install();
  const args = ['health', '-addr', addr, ...flags];
  const { code, err } = await program.run(args);
  assert.equal(code, 2, err);
  const prefix = `Cannot connect to ${addr} within 1000 ms: `;
  assert.ok(err.startsWith(prefix) && err.indexOf('\n') === err.length - 1, err);
  return err.slice(prefix.length, -1);
}

async function serveTls(t: TestContext, options: SecureServerOptions): Promise<number> {
  const server = createSecureServer(options).on('tlsClientError', () => {});
  server.on('sessionError', () => {});
  t.after(() => server.close());
  return listenTcp(server);
}

/** Certificates of one CA, also as files. */
async function setUp(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'greeter-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = (name: string, content: string) => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };
  const [authority, other] = await Promise.all([certificate({ name: 'authority' }), certificate()]);
  const of = (options: Parameters<typeof certificate>[0]) =>
    certificate({ signer: authority, ...options });
  const ca = ['-tls', '-tls-ca-cert', file('ca.pem', authority.cert)];
  const [cert, key] = [file('client.pem', other.cert), file('client.key', other.key)];
  const client = ['-tls-client-cert', cert, '-tls-client-key', key];
  return { authority, of, ca, client, server: await of({}) };
}

test('health explains why a connection fails before TLS', async (t) => {
  const http1 = createTcpServer((socket) => {
    socket.on('error', () => {}).resume();
    socket.write('HTTP/1.1 400 Bad Request\r\n\r\n');
  });
  const rude = createTcpServer((socket) => void socket.destroy());
  const silent = createTcpServer();
  const ports = await Promise.all([http1, rude, silent].map((server) => listenTcp(server)));
  t.after(() => [http1, rude, silent].forEach((server) => server.close()));
  const [toHttp1, toRude, toSilent] = ports.map((port) => `127.0.0.1:${port}`);

  const causes = {
    '127.0.0.1:1': 'connection refused',
    'unix:nothing.sock': 'there is no such socket',
    'nowhere.invalid:1': 'no address for "nowhere.invalid:1"',
    [toSilent ?? '']: 'no answer',
    [toHttp1 ?? '']: 'the server does not speak HTTP/2: it may want TLS',
    [toRude ?? '']: 'the server closes the connection: it may want TLS',
  };
  const said = Object.keys(causes).map(async (addr) => [addr, await causeOf(addr)] as const);
  assert.deepEqual(Object.fromEntries(await Promise.all(said)), causes);
});

test('health explains that only one side speaks TLS', async (t) => {
  const { server, ca } = await setUp(t);
  const plain = createServer().on('sessionError', () => {});
  t.after(() => plain.close());
  const port = await serveTls(t, server);
  const plainPort = await listenTcp(plain);

  const [inPlaintext, inTls] = await Promise.all([
    causeOf(`localhost:${port}`),
    causeOf(`localhost:${plainPort}`, ca),
  ]);

  assert.match(inPlaintext, /: it may want TLS$/);
  assert.equal(inTls, 'the server does not speak TLS: it answers in plaintext');
});

test("health explains what is wrong with the server's certificate", async (t) => {
  const { server, of, ca } = await setUp(t);
  const expired = await of({ notBefore: new Date(1e12), notAfter: new Date(1.1e12) });
  const named = await of({ dns: ['other.test'] });
  const ask = async (pair: SecureServerOptions, flags: readonly string[]) =>
    causeOf(`localhost:${await serveTls(t, pair)}`, flags);

  const [unknown, other, old] = await Promise.all([
    ask(server, ['-tls']),
    ask(named, ca),
    ask(expired, ca),
  ]);

  assert.match(unknown, /^the certificate .* is signed by an unknown authority/);
  assert.match(other, /^the certificate .* has another name: DNS:other.test/);
  assert.equal(old, 'the certificate of the server cannot be used: certificate has expired');
});

test('health explains that the server requires a client certificate, or refuses the one it got', async (t) => {
  const { server, authority, ca, client } = await setUp(t);
  const mutual = { ...server, ca: authority.cert, requestCert: true };
  const ask = async (options: SecureServerOptions, flags: readonly string[]) =>
    causeOf(`localhost:${await serveTls(t, { ...mutual, ...options })}`, flags);

  const [none, noneIn12, wrong] = await Promise.all([
    ask({}, ca),
    ask({ maxVersion: 'TLSv1.2' }, ca),
    ask({}, [...ca, ...client]),
  ]);

  assert.equal(none, 'the server wants a client certificate: certificate required');
  assert.match(noneIn12, /: it may want a client certificate$/);
  assert.match(wrong, /client certificate/);
});
