import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { stop, type Stoppable } from './lifecycle.ts';

const lifecycle = join(import.meta.dirname, 'lifecycle.ts');

/** Something to stop that notes each step; `drained` says when its last call ends. */
function recorder(drained: Promise<void>): Stoppable & { steps: string[] } {
  const steps: string[] = [];
  const step = async (name: string) => void steps.push(name);
  return {
    steps,
    beginShutdown: () => void step('begin'),
    drain: () => step('drain').then(() => drained),
    kill: () => step('kill'),
    flush: () => step('flush'),
  };
}

test('stop() shuts down gracefully, and returns true if every call completes', async () => {
  const app = recorder(Promise.resolve());

  const clean = await stop(app, { shutdownDelay: 0, drainTimeout: 60_000 });

  assert.equal(clean, true);
  assert.deepEqual(app.steps, ['begin', 'drain', 'flush']);
});

test('stop() cuts open calls at the drain timeout, and returns false', async () => {
  const app = recorder(new Promise(() => {}));

  const clean = await stop(app, { shutdownDelay: 0, drainTimeout: 1 });

  assert.equal(clean, false);
  assert.deepEqual(app.steps, ['begin', 'drain', 'kill', 'flush']);
});

test('stop() keeps serving for the shutdown delay', async () => {
  const app = recorder(Promise.resolve());

  const stopped = stop(app, { shutdownDelay: 20, drainTimeout: 60_000 });
  const during = [...app.steps];
  await stopped;

  assert.deepEqual(during, ['begin']);
  assert.deepEqual(app.steps, ['begin', 'drain', 'flush']);
});

test('stop() leaves no timer that would keep the process alive', async () => {
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  const before = timers();

  await stop(recorder(Promise.resolve()), { shutdownDelay: 0, drainTimeout: 60_000 });
  await sleep(0);

  assert.equal(timers(), before);
});

test('handleSignals() handles a SIGTERM that is pending', async () => {
  const script = `
    import { endAtSignals, handleSignals } from ${JSON.stringify(lifecycle)};
    endAtSignals();
    process.kill(process.pid, 'SIGTERM');
    const { stopped } = handleSignals({ terminalIsGone: () => false });
    stopped.then((signal) => { console.log('stop', signal); process.exit(); });
    setTimeout(() => console.log('missed'), 5000);
  `;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script]);

  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)]);

  assert.deepEqual([out, err], ['stop SIGTERM\n', '']);
});

test('handleSignals() treats SIGHUP as a hangup only if the terminal is closed', async () => {
  const script = `
    import { handleSignals } from ${JSON.stringify(lifecycle)};
    let isGone = false;
    const signals = handleSignals({ terminalIsGone: () => isGone });
    signals.stopped.then((signal) => { console.log('stop', signal); process.exit(); });
    const log = { info: ({ signal, reason }, message) => console.log(message, signal, reason) };
    process.emit('SIGHUP', 'SIGHUP');
    signals.attach({ log });
    process.emit('SIGHUP', 'SIGHUP');
    signals.attach({ log, reload: () => console.log('reload') });
    process.emit('SIGHUP', 'SIGHUP');
    isGone = true;
    process.emit('SIGHUP', 'SIGHUP');
  `;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script]);

  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)]);

  assert.equal(err, '');
  assert.deepEqual(out.trimEnd().split('\n'), [
    'ignoring a signal SIGHUP there are no TLS files to reload',
    'reloading TLS files SIGHUP undefined',
    'reload',
    'stop SIGHUP',
  ]);
});

test('logUncaughtErrors() logs uncaught errors of any kind, and the process continues', async () => {
  const script = `
    import { logUncaughtErrors } from ${JSON.stringify(lifecycle)};
    logUncaughtErrors({
      error({ err, origin }) {
        if (err instanceof Error && Object.isFrozen(err)) throw new TypeError('frozen');
        console.log(origin, err.message?.split('\\n')[0] ?? err);
      },
    });
    const abort = new AbortController();
    abort.signal.addEventListener('abort', () => { throw new Error('in a listener'); });
    abort.abort();
    setTimeout(() => { throw undefined; });
    setTimeout(() => void Promise.reject(new Error('rejected')), 1);
    setTimeout(() => { throw Object.freeze(new Error('frozen')); }, 2);
    setTimeout(() => console.log('alive'), 3);
  `;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script]);

  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)]);

  assert.equal(err, '');
  const lines = out.split('\n');
  assert.deepEqual(lines.slice(0, 5), [
    'uncaughtException in a listener',
    'uncaughtException undefined',
    'unhandledRejection rejected',
    'uncaughtException Error: frozen',
    'alive',
  ]);
});
