import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { createClient } from 'nice-grpc';
import { HealthDefinition } from '../src/gen/grpc/health/v1/health.ts';
import { install, type Served } from './support/program.ts';
import { listenTcp } from './support/tcp.ts';

async function callAndStop(server: Served): Promise<void> {
  await createClient(HealthDefinition, server.channel).check({});
  server.signal('SIGTERM');
  assert.deepEqual(await server.ended, { code: 0, err: '' });
}

test('serve starts even if the working directory is gone', async () => {
  using program = install();

  await callAndStop(await program.serve([], { inRemovedFolder: true }));
});

test('check-config names a missing file even if the working directory is gone', async () => {
  using program = install();
  const args = ['check-config', '--tls-cert-file', 'cert.pem', '--tls-key-file', 'key.pem'];

  const { code, err } = await program.run(args, { inRemovedFolder: true });

  assert.equal(code, 2);
  assert.match(err, /--tls-cert-file "cert.pem": must be a file that can be read: ENOENT/);
});

test('SIGUSR1 opens no debugger port, and the server continues', async () => {
  using program = install();
  const server = await program.serve();

  server.signal('SIGUSR1');

  // Node would print the address of its debugger to standard error.
  await callAndStop(server);
});

/** Runs the following command as process 1, as in a container. */
const asFirst = ['unshare', '--pid', '--fork', '--kill-child'];
const canBeFirst = spawnSync('unshare', [...asFirst.slice(1), 'true']).status === 0;

/** The process ID of the program itself, if it was started like this. */
function innermost(pid: number): number {
  if (!canBeFirst) return pid;
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8'));
}

/** A server that accepts connections, and sends nothing. */
async function silentServer(t: TestContext) {
  const sockets: Socket[] = [];
  const server = createServer((socket) => void sockets.push(socket.on('error', () => {})));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { server, address: `127.0.0.1:${await listenTcp(server)}` };
}

for (const [command, more] of [['health', ['-connect-timeout', '20s']]] as const) {
  // Elsewhere Node leaves SIGINT to the kernel, so the exit shows the signal.
  for (const [signal, code] of [
    ['SIGTERM', 143],
    ...(canBeFirst ? [['SIGINT', 130] as const] : []),
  ] as const) {
    test(`${command} ends at once at ${signal} while it waits for a server, also as process 1`, async (t) => {
      using program = install();
      const { server, address } = await silentServer(t);
      let pid = 0;
      const connected = once(server, 'connection');
      const ended = program.run([command, ...more, '--addr', address], {
        launcher: canBeFirst ? asFirst : [],
        onStart: (started) => (pid = started),
      });
      await connected;

      process.kill(innermost(pid), signal);

      assert.deepEqual(await ended, { code, out: '', err: '' });
    });
  }
}

/** Makes Node's DNS lookups hang, with a connection to a port that shows it. */
function lookingUpAt(address: string): readonly string[] {
  const [, port] = address.split(':');
  const slow = `
    import dns from 'node:dns/promises';
    import { syncBuiltinESMExports } from 'node:module';
    import { connect } from 'node:net';
    dns.lookup = () => new Promise(() => connect(${port}, '127.0.0.1'));
    syncBuiltinESMExports();`;
  return ['--import', `data:text/javascript,${encodeURIComponent(slow)}`];
}

test('serve ends at once at SIGTERM while it starts, also as process 1', async (t) => {
  using program = install();
  const { server, address } = await silentServer(t);
  let pid = 0;
  const starting = once(server, 'connection');
  const ended = program.run(['serve', '--listen', 'slow.invalid:0'], {
    launcher: canBeFirst ? asFirst : [],
    nodeFlags: lookingUpAt(address),
    onStart: (started) => (pid = started),
  });
  await starting;

  process.kill(innermost(pid), 'SIGTERM');

  assert.deepEqual(await ended, { code: 143, out: '', err: '' });
});

test('serve shuts down at SIGTERM as process 1', async () => {
  using program = install();
  const server = await program.serve([], { launcher: canBeFirst ? asFirst : [] });

  process.kill(innermost(server.pid), 'SIGTERM');

  assert.deepEqual(await server.ended, { code: 0, err: '' });
});
