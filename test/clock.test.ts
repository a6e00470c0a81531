import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient } from 'nice-grpc';
import { Metadata, Status } from 'nice-grpc-common';
import { ScriptDefinition } from './echo/gen/echo.ts';
import { eventually, feed, type Line } from './support/harness.ts';
import { callScript, ping, scriptPaths, threeReplies } from './support/script.ts';
import { installEcho } from './support/echo_program.ts';
import type { Served } from './support/program.ts';
import { parsePrometheus } from './support/prometheus.ts';

const hour = 3_600_000;

/** Changes the wall clock of a process at SIGUSR2, by mocking Date. */
function clockSetter(by: number): readonly string[] {
  const program = `
    let shift = 0;
    const { now } = Date;
    globalThis.Date = class extends Date {
      static now() { return now() + shift; }
      constructor(...args) { super(...(args.length > 0 ? args : [now() + shift])); }
    };
    process.on('SIGUSR2', () => { shift = ${by}; });`;
  return ['--import', `data:text/javascript,${encodeURIComponent(program)}`];
}

/** The total seconds of calls, by method. */
async function seconds({ log }: Served): Promise<Map<string, number>> {
  const { port } = await log.line({ msg: 'admin listening' });
  const response = await fetch(`http://127.0.0.1:${String(port)}/metrics`);
  const samples = parsePrometheus(await response.text());
  return new Map(
    samples
      .filter(({ name }) => name === 'grpc_server_handling_seconds_sum')
      .map(({ labels, value }) => [labels['grpc_method'] ?? '', value]),
  );
}

function isOutput(line: Line): boolean {
  return line['rpc.method'] === scriptPaths.serverStream.slice(1);
}

for (const [direction, by] of [
  ['back', -hour],
  ['forward', hour],
] as const) {
  test(`setting the wall clock ${direction} by an hour changes no duration, deadline or code of a call`, async () => {
    using program = installEcho();
    const args = ['--admin-listen', '127.0.0.1:0'];
    const server = await program.serve(args, { nodeFlags: clockSetter(by) });
    const client = createClient(ScriptDefinition, server.channel);
    const within = (timeout: string) => ({ metadata: Metadata({ 'grpc-timeout': timeout }) });
    const cancel = new AbortController();
    const requests = feed<ReturnType<typeof ping>>();
    const uploaded = client.clientStream(requests);
    const slow = threeReplies(hour / 2);
    const options = { ...within('30M'), signal: cancel.signal };
    const left = client.serverStream(slow, options)[Symbol.asyncIterator]();
    const late = client.serverStream(slow, within('2S'))[Symbol.asyncIterator]();
    await Promise.all([left.next(), late.next()]);

    server.signal('SIGUSR2');
    await eventually('a line of the log by the new time', async () => {
      await callScript(client, 'unary');
      return server.log.lines.some(
        ({ time }) => Math.abs(Date.parse(String(time)) - Date.now()) > hour / 2,
      );
    });
    requests.end();
    await Promise.all([uploaded, callScript(client, 'unary', within('30M'))]);
    const { length: before } = server.log.lines;
    cancel.abort();
    await assert.rejects(left.next(), { name: 'AbortError' });
    await eventually('the line of the call that was cancelled', () =>
      server.log.lines.slice(before).some(isOutput),
    );
    await assert.rejects(late.next(), { code: Status.DEADLINE_EXCEEDED });
    await server.log.line({ 'rpc.status_code': 'DEADLINE_EXCEEDED' });

    const lines = server.log.lines.filter((line) => line['rpc.method'] !== undefined);
    for (const line of lines) {
      const ms = Number(line['duration_ms']);
      assert.ok(ms >= 0 && ms < hour / 2, `${String(line['rpc.method'])} took ${ms} ms`);
    }
    assert.deepEqual(
      lines.filter(isOutput).map((line) => line['rpc.status_code']),
      ['CANCELLED', 'DEADLINE_EXCEEDED'],
    );
    assert.ok(lines.every((line) => isOutput(line) || line['rpc.status_code'] === 'OK'));
    for (const [method, sum] of await seconds(server)) {
      assert.ok(sum >= 0 && sum < 1800, `${method} took ${sum} s`);
    }
  });
}
