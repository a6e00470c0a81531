import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createClient } from 'nice-grpc';
import { PingDefinition } from '../../test/echo/gen/echo.ts';
import type { ListenAddress } from '../engine/index.ts';
import { listenTcp } from '../../test/support/tcp.ts';
import { dial } from './client.ts';
import type { Engine, EngineName } from './engine_types.ts';
import type { Address } from '../address.ts';
import { ListenError, listenOn } from './listen.ts';
import { createEngine } from '../../test/support/engine.ts';

async function build(name: EngineName): Promise<Engine> {
  const engine = await createEngine(name, { maxConcurrentStreams: 10, maxMessageSize: 1024 });
  engine.add(PingDefinition, { ping: async ({ text }) => ({ text }) });
  return engine;
}

async function callAt(address: string): Promise<string> {
  const channel = dial({ address });
  try {
    return (await createClient(PingDefinition, channel).ping({ text: 'x' })).text;
  } finally {
    channel.close();
  }
}

function local(port: number) {
  return { text: `127.0.0.1:${port}`, host: '127.0.0.1', port };
}

const anyPort = (host: string | undefined): Address => ({ text: `${host ?? ''}:0`, host, port: 0 });

for (const name of ['direct', 'grpc-js'] as const) {
  test(`listenOn() on ${name} serves on every address: all interfaces, a host, a unix socket`, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'greeter-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const path = join(folder, 'a.sock');
    const addresses = [anyPort(undefined), anyPort('127.0.0.1'), { text: `unix:${path}`, path }];

    const engine = await build(name);
    const [everywhere, host, socket] = await listenOn(engine, addresses);

    assert.deepEqual(socket, { address: `unix:${path}`, port: undefined });
    assert.equal(await callAt(`127.0.0.1:${everywhere?.port}`), 'x');
    assert.equal(await callAt(`127.0.0.1:${host?.port}`), 'x');
    assert.equal(await callAt(`unix:${path}`), 'x');
    await engine.shutdown();
  });

  test(`listenOn() on ${name} reports an address in use, and listens on none`, async () => {
    const [other, free] = [createTcpServer(), createTcpServer()];
    const [taken, before] = [local(await listenTcp(other)), local(await listenTcp(free))];
    free.close();

    const listening = listenOn(await build(name), [before, taken]);

    await assert.rejects(listening, (error) => {
      assert.ok(error instanceof ListenError);
      assert.equal(error.message, `Cannot listen on "${taken.text}": address already in use`);
      return true;
    });
    const again = createTcpServer();
    assert.equal(await listenTcp(again, before.port), before.port);
    again.close();
    other.close();
  });

  test(`listenOn() on ${name} serves every address of a name, on one port`, async () => {
    const engine = await build(name);
    const hosts = ['127.0.0.1', '::1', '127.0.0.2'];

    const [bound, ...others] = await listenOn(engine, [
      { text: 'localhost:0', host: 'localhost', hosts, port: 0 },
    ]);

    assert.deepEqual(others, []);
    for (const host of ['127.0.0.1', '[::1]', '127.0.0.2']) {
      assert.equal(await callAt(`${host}:${bound?.port}`), 'x');
    }
    await engine.shutdown();
  });

  test(`listenOn() on ${name} reports an address that is not of this machine`, async () => {
    const elsewhere = { text: '192.0.2.1:1', host: '192.0.2.1', port: 1 };

    await assert.rejects(listenOn(await build(name), [elsewhere]), {
      message: 'Cannot listen on "192.0.2.1:1": address not available',
    });
  });

  test(`listenOn() on ${name} reports that the folder of a unix socket does not exist`, async () => {
    const nowhere = { text: 'unix:/nowhere/a.sock', path: '/nowhere/a.sock' };

    await assert.rejects(listenOn(await build(name), [nowhere]), {
      message: 'Cannot listen on "unix:/nowhere/a.sock": the folder "/nowhere" does not exist',
    });
  });
}

test('listenOn() skips IPv6 addresses of a name on a machine without IPv6, unless there are no others', async () => {
  const withoutIpv6 = {
    async listen(address: ListenAddress) {
      if ('host' in address && address.host === '127.0.0.1') return 7;
      throw new Error('listen EADDRNOTAVAIL: address not available ::1:7');
    },
    forceShutdown() {},
  };
  const place = { text: 'localhost:7', host: 'localhost', port: 7 };

  const bound = await listenOn(withoutIpv6, [{ ...place, hosts: ['::1', '127.0.0.1'] }]);

  assert.deepEqual(bound, [{ address: 'localhost:7', port: 7 }]);
  for (const hosts of [['::1'], ['127.0.0.1', '10.0.0.1'], ['::1', '::2']]) {
    await assert.rejects(listenOn(withoutIpv6, [{ ...place, hosts }]), {
      message: 'Cannot listen on "localhost:7": address not available',
    });
  }
});

test('listenOn() uses all IPv4 interfaces on a machine without IPv6', async () => {
  const asked: string[] = [];
  const withoutIpv6 = {
    async listen(address: ListenAddress) {
      const host = 'host' in address ? address.host : '';
      asked.push(host);
      if (host === '::') throw new Error('errors: [listen EAFNOSUPPORT: :::7]');
      return 7;
    },
    forceShutdown() {},
  };

  await listenOn(withoutIpv6, [{ text: ':7', host: undefined, port: 7 }]);

  assert.deepEqual(asked, ['::', '0.0.0.0']);
});
