import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient } from 'nice-grpc';
import { HelloDefinition } from '../src/gen/hello.ts';
import { install, type Served } from './program.ts';

async function callAndStop(server: Served): Promise<void> {
  const { value } = await createClient(HelloDefinition, server.channel).hello({ value: 'World' });
  assert.equal(value, 'Hello World');
  server.signal('SIGTERM');
  assert.deepEqual(await server.ended, { code: 0, err: '' });
}

test('serve starts, and serves, where the working directory is gone', async () => {
  using program = install();

  await callAndStop(await program.serve([], { inRemovedFolder: true }));
});

test('check-config names a file that cannot be found where the working directory is gone', async () => {
  using program = install();
  const args = ['check-config', '--tls-cert-file', 'cert.pem', '--tls-key-file', 'key.pem'];

  const { code, err } = await program.run(args, { inRemovedFolder: true });

  assert.equal(code, 2);
  assert.match(err, /--tls-cert-file "cert.pem": must be a file that can be read: ENOENT/);
});

test('SIGUSR1 opens no port for debuggers, and the server goes on', async () => {
  using program = install();
  const server = await program.serve();

  server.signal('SIGUSR1');

  // Node would say on standard error where its debugger listens.
  await callAndStop(server);
});
