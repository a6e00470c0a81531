import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { createClient } from 'nice-grpc';
import { ScriptDefinition, type ScriptRequest } from './echo/gen/echo.ts';
import { dial } from '../src/transport/client.ts';
import { eventually, feed } from './support/harness.ts';
import { copyOfProject } from './support/project_copy.ts';
import { ping } from './support/script.ts';

test('npm run dev restarts after a save by rename, whatever calls are open', async (t) => {
  const folder = copyOfProject(t);
  addEcho(join(folder, 'src/app.ts'));
  const dev = runDev(t, folder);
  const { port } = await dev.serving(1);
  using call = await openCall(port);

  saveByRename(join(folder, 'src/printable.ts'));
  await dev.serving(2);

  assert.match(String(await call.ended), /UNAVAILABLE/);
});

test('npm run dev continues after npm run generate', async (t) => {
  const folder = copyOfProject(t);
  const dev = runDev(t, folder);
  await dev.serving(1);

  await promisify(execFile)('npm', ['run', 'generate'], { cwd: folder });
  const before = dev.starts().length;
  saveByRename(join(folder, 'src/gen/grpc/health/v1/health.ts'));

  await dev.serving(before + 1);
});

test('npm run dev -- --inspect accepts debuggers', async (t) => {
  const dev = runDev(t, copyOfProject(t), '--inspect=127.0.0.1:0');

  await dev.serving(1);

  assert.match(dev.errors(), /^Debugger listening on ws:\/\/127\.0\.0\.1:/m);
});

/** Adds the services of echo.proto. */
function addEcho(app: string): void {
  const text = readFileSync(app, 'utf8');
  const changed = text.replace("'./services.ts'", "'../test/echo/services.ts'");
  assert.notEqual(changed, text);
  writeFileSync(app, changed);
}

/** As editors save that never leave a partial file. */
function saveByRename(file: string): void {
  copyFileSync(file, `${file}.new`);
  renameSync(`${file}.new`, file);
}

function runDev(t: TestContext, cwd: string, ...flags: string[]) {
  const addresses = ['--listen', '127.0.0.1:0', '--admin-listen', 'off', '--log-format', 'json'];
  const child = spawn('npm', ['run', 'dev', '--', ...flags, ...addresses], {
    cwd,
    env: { ...process.env, GREETER_DRAIN_TIMEOUT: '1h' },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const ended = once(child, 'exit');
  t.after(async () => {
    // Kills the process group: npm, its shell, the watcher and the server.
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    await ended;
  });
  let [out, errors] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  const starts = () => [...out.matchAll(/"port":(\d+).*\n(?:.*\n)*?.*"msg":"serving"/g)];
  return {
    errors: () => errors,
    starts,
    /** The port of the start with that number, once it serves. */
    async serving(number: number) {
      await eventually(`start ${number} of npm run dev`, () => starts().length >= number);
      return { port: Number(starts()[number - 1]?.[1]) };
    },
  };
}

/** A call that lasts until the server ends it; `ended` resolves with its error. */
async function openCall(port: number) {
  const channel = dial({ address: `127.0.0.1:${port}` });
  const requests = feed<ScriptRequest>();
  requests.push(ping());
  const responses = createClient(ScriptDefinition, channel).bidi(requests);
  const each = responses[Symbol.asyncIterator]();
  await each.next();
  const ended = each.next().catch((error: unknown) => error);
  return { ended, [Symbol.dispose]: () => channel.close() };
}
