import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import { install } from './support/program.ts';

/** Runs the following command in a pseudo-terminal. */
const inTerminal = ['sh', '-c', 'exec script -qec "exec $*" /dev/null', 'sh'];
const listen = ['--listen', '127.0.0.1:0'];

test('serve in a terminal shows how to try it and to stop it, and what it waits for at Ctrl-C', async () => {
  using program = install();

  const { code, out } = await program.run(listen, {
    launcher: inTerminal,
    answer: { to: /^Stop .* to finish/m, with: '\u0003' },
  });

  const lines = stripVTControlCharacters(out).trimEnd().split('\r\n');
  const beginnings = lines.map((line) => /^(\^C|\w+(?: down)?|\[.*INFO: \w+)/.exec(line)?.[1]);
  const [start, last] = [beginnings.slice(0, 5), lines.at(-1)];
  assert.deepEqual(start, ['gRPC', 'Services', 'Metrics', 'Try', 'Stop']);
  assert.deepEqual(beginnings.slice(5, -1), ['^C', 'Shutting down']);
  assert.match(last ?? '', /^\[[\d:.]+\] INFO: stopped {2}served=0 {2}cut=0$/);
  assert.equal(code, 0);
});

test('serve in a terminal writes JSON with --log-format json', async () => {
  using program = install();

  const { out } = await program.run([...listen, '--log-format', 'json'], {
    launcher: inTerminal,
    answer: { to: /"msg":"serving"/, with: '\u0003' },
  });

  const messages = [...out.matchAll(/^(?:\^C)?\{.*"msg":"(.*?)"/gm)].map(([, msg]) => msg);
  assert.deepEqual(messages, ['listening', 'serving', 'shutting down', 'stopped']);
});
