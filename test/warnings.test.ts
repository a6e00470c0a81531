import assert from 'node:assert/strict';
import { test } from 'node:test';
import { install } from './support/program.ts';

/** Makes Node emit a warning. */
const warner = `process.on('SIGUSR2', () => process.emitWarning('odd: \\u001B[2J\\u009B'))`;
const nodeFlags = ['--import', `data:text/javascript,${encodeURIComponent(warner)}`];

test("Node's warnings are logged, and not on standard error", async () => {
  using program = install();
  const server = await program.serve([], { nodeFlags });

  server.signal('SIGUSR2');
  const line = await server.log.line({ msg: 'process warning' });
  server.signal('SIGTERM');

  assert.partialDeepStrictEqual(line, { level: 'warn', err: { message: 'odd: \u001B[2J\u009B' } });
  assert.deepEqual(await server.ended, { code: 0, err: '' });
});
