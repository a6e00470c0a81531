import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import { generate } from 'selfsigned';
import {
  ServerCompatRequest,
  ServerCompatResponse,
} from './gen/connectrpc/conformance/v1/server_compat.ts';
import { readSized, sized } from './sized.ts';

// The suite always sends a certificate, so it cannot check this.
test('the conformance server requires client certificates if it is given a CA', async (t) => {
  const [own, clients, others] = await Promise.all([newPair(), newPair(), newPair()]);
  const server = spawn(process.execPath, [join(import.meta.dirname, 'server.ts')], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  t.after(() => server.kill('SIGKILL'));
  const request = {
    useTls: true,
    clientTlsCert: clients.cert,
    messageReceiveLimit: 0,
    serverCreds: own,
  };
  server.stdin.end(sized(ServerCompatRequest.encode(request).finish()));
  const { port, pemCert } = ServerCompatResponse.decode(await readSized(server.stdout));
  const dial = (pair?: typeof own) =>
    connect({ port, ca: pemCert, servername: 'localhost', ALPNProtocols: ['h2'], ...pair });

  assert.equal(await isServed(dial(clients)), true);
  assert.equal(await isServed(dial(others)), false);
  assert.equal(await isServed(dial()), false);

  server.kill('SIGTERM');
  assert.deepEqual(await once(server, 'exit'), [0, null]);
});

/** A self-signed certificate and its key. */
async function newPair() {
  const name = [{ name: 'commonName', value: 'localhost' }];
  const { cert, private: key } = await generate(name, { algorithm: 'sha256' });
  return { cert: Buffer.from(cert), key: Buffer.from(key) };
}

/** True if the server sends SETTINGS. TLS 1.3 refuses a certificate after the handshake. */
async function isServed(socket: TLSSocket): Promise<boolean> {
  socket.on('error', () => {});
  socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  const served = await Promise.race([
    once(socket, 'data').then(() => true),
    once(socket, 'close').then(() => false),
  ]).catch(() => false);
  socket.destroy();
  return served;
}
