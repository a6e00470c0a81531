import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { suite, test } from 'node:test';
import { createChannel, createClient } from 'nice-grpc';
import { Metadata, Status } from 'nice-grpc-common';
import { HealthDefinition } from '../src/gen/grpc/health/v1/health.ts';
import { ScriptDefinition, type ScriptRequest } from './echo/gen/echo.ts';
import { feed } from './support/harness.ts';
import { greeting } from './http2_attacks/attacker.ts';
import { ping, reply, sizeOf, unendingPing } from './support/script.ts';
import { installEcho } from './support/echo_program.ts';
import { connectRaw } from './support/raw_client.ts';
import { dialSocket } from './support/tls.ts';
import { preface } from '../src/engine/http2/frames.ts';

/** The built file, with the shortest times. */
void suite('the limits that are flags', { concurrency: true }, () => {
  test('--max-in-flight refuses calls above the limit', async () => {
    using program = installEcho();
    const { channel } = await program.serve(['--max-in-flight', '1']);
    const client = createClient(ScriptDefinition, channel);
    const replies = client.bidi(unendingPing())[Symbol.asyncIterator]();
    await replies.next();

    await assert.rejects(client.unary({}), { code: Status.RESOURCE_EXHAUSTED });
  });

  test('--max-in-flight does not count watches of the health port, and metrics count everything open', async () => {
    using program = installEcho();
    const ports = ['--health-listen', '127.0.0.1:0', '--admin-listen', '127.0.0.1:0'];
    const { channel, log } = await program.serve(['--max-in-flight', '5', ...ports]);
    const health = await log.line({ msg: 'listening for health' });
    const admin = await log.line({ msg: 'admin listening' });
    const healthChannel = createChannel(`127.0.0.1:${Number(health['port'])}`);
    const watcher = createClient(HealthDefinition, healthChannel);
    for (let i = 0; i < 6; i++) {
      await watcher.watch({ service: '' })[Symbol.asyncIterator]().next();
    }

    const client = createClient(ScriptDefinition, channel);
    const replies = client.bidi(unendingPing())[Symbol.asyncIterator]();
    await replies.next();

    const metrics = await (await fetch(`http://127.0.0.1:${Number(admin['port'])}/metrics`)).text();
    assert.match(metrics, /^greeter_calls_in_flight 7$/m);
    assert.match(metrics, /^greeter_open_streams 7$/m);
    healthChannel.close();
  });

  test('--max-buffered-bytes is rejected below what the largest messages need', async () => {
    using program = installEcho();
    const env = { GREETER_ENGINE: 'direct' };
    const size = 4 * 1024 * 1024;
    const refused = await program.run(['check-config', '--max-buffered-bytes', '8MiB'], { env });
    const [, least = ''] =
      /^ {2}--max-buffered-bytes: must be at least (\d+),/m.exec(refused.err) ?? [];
    const { channel } = await program.serve(['--max-buffered-bytes', least], { env });
    // The overhead of a request of that size.
    const payload = Buffer.alloc(size - 40);
    const replies = [reply(size - 40)];
    const client = createClient(ScriptDefinition, channel);

    const echoed = await client.unary({ payload, replies });
    const received = await client.clientStream(repeat({ payload }, 4));
    const responses = client.bidi(repeat({ payload, replies }, 4));

    assert.equal(refused.code, 2);
    assert.equal(sizeOf(echoed), size - 40);
    assert.equal(received.size, 4 * (size - 40));
    assert.deepEqual(await Array.fromAsync(responses, sizeOf), Array(4).fill(size - 40));
  });

  test('--max-connections closes idle connections in favour of others, and none with a call', async (t) => {
    using program = installEcho();
    const { address, channel } = await program.serve(['--max-connections', '200'], {
      env: { GREETER_ENGINE: 'direct' },
    });
    const client = createClient(ScriptDefinition, channel);
    const requests = feed<ScriptRequest>();
    const replies = client.bidi(requests)[Symbol.asyncIterator]();
    const chat = async (size: number) => {
      requests.push(ping(size));
      return sizeOf((await replies.next()).value ?? {});
    };
    assert.equal(await chat(1), 1);

    const crowd: Socket[] = [];
    t.after(() => {
      for (const socket of crowd) socket.destroy();
    });
    while (crowd.length < 500) {
      const { socket } = dialSocket(address);
      crowd.push(socket.on('error', () => {}));
      socket.write(greeting());
      await once(socket, 'data');
    }
    const other = await connectRaw(address);

    assert.equal(await chat(2), 2);
    assert.equal(other.session.destroyed, false);
    other.close();
    requests.end();
  });

  test('--max-connection-age and its grace period end open calls with UNAVAILABLE', async () => {
    using program = installEcho();
    const age = ['--max-connection-age', '1s', '--max-connection-age-grace', '0s'];
    const { channel } = await program.serve(age);
    const client = createClient(ScriptDefinition, channel);

    await assert.rejects(Array.fromAsync(client.bidi(unendingPing())), {
      code: Status.UNAVAILABLE,
    });
  });

  test('--idle-timeout closes a connection without calls', async () => {
    using program = installEcho();
    const { address } = await program.serve(['--idle-timeout', '1s']);
    const { session } = await connectRaw(address);

    const [code] = await once(session, 'goaway');
    await once(session, 'close');

    assert.equal(code, 0);
  });

  test('--keepalive-time and --keepalive-timeout close the connection of a vanished client', async () => {
    using program = installEcho();
    const times = ['--keepalive-time', '1s', '--keepalive-timeout', '1s'];
    const { address } = await program.serve(times);
    const { socket } = dialSocket(address);
    socket.on('error', () => {}).resume();
    // SETTINGS, and nothing else.
    socket.write(Buffer.concat([preface, Buffer.from('000000040000000000', 'hex')]));

    await once(socket, 'close');
  });

  test('--max-header-size rejects longer header lists', async () => {
    using program = installEcho();
    const { channel } = await program.serve(['--max-header-size', '1KiB'], {
      env: { GREETER_ENGINE: 'direct' },
    });
    const client = createClient(ScriptDefinition, channel);

    await client.unary({});
    await assert.rejects(client.unary({}, { metadata: Metadata({ x: 'x'.repeat(1024) }) }), {
      code: Status.RESOURCE_EXHAUSTED,
      details: 'Cannot accept request headers of more than 1024 bytes',
    });
  });
});

async function* repeat<T>(value: T, times: number): AsyncGenerator<T> {
  for (let i = 0; i < times; i++) yield value;
}
