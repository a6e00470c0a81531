import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { defaultLimits } from '../../../test/support/engine.ts';
import { MemorySocket } from '../../../test/support/memory_socket.ts';
import { createBody } from '../../../test/support/web_body.ts';
import { Accounts } from '../account.ts';
import { type Flow, unbounded } from '../scheduler.ts';
import type { ServeWeb } from '../web.ts';
import { createHttp1Server } from './http1.ts';

const never = Number.POSITIVE_INFINITY;
const times = {
  preface: 10_000,
  idle: never,
  keepalive: never,
  keepaliveTimeout: never,
  age: never,
  ageGrace: never,
};

/** A connection that has received these bytes. */
async function connect(
  received: string,
  { serve, flow = unbounded }: { serve: ServeWeb; flow?: Flow },
) {
  const clock = { now: 0 };
  const open = () => assert.fail('no call is opened');
  const deps = { limits: defaultLimits, times, now: () => clock.now, random: () => 0 };
  const server = createHttp1Server({ ...deps, serve, open });
  const socket = new MemorySocket('10.0.0.1');
  const account = new Accounts().open(undefined);
  const parts = { account, flow, onIdle() {}, report() {} };
  socket.unshift(Buffer.from(received));
  const connection = server.attach(socket, parts);
  socket.on('error', () => {}).on('close', () => connection.close(() => {}));
  await setImmediate();
  return { clock, socket, connection };
}

const incomplete = 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n12345';

test('a client that still sends a body after its response gets no other response', async () => {
  const { clock, socket, connection } = await connect(incomplete, {
    serve: async () => ({ status: 415, fields: ['content-length', '0'] }),
  });
  const response = socket.takeSent().toString();

  clock.now += times.preface;
  socket.arrive(Buffer.from('6'));
  connection.tick();
  const more = socket.takeSent().toString();

  assert.match(response, /^HTTP\/1\.1 415 /);
  assert.equal(more, '');
});

for (const [name, asked, fields] of [
  ['the client asks for that', 'connection: close\r\n', []],
  ['the response says so', '', ['connection', 'close']],
] as const) {
  test(`a connection is closed after the rest of a request if ${name}`, async () => {
    const request = incomplete.replace('host', `${asked}host`);
    const { socket } = await connect(request, {
      serve: async () => ({ status: 415, fields, body: Buffer.from('no') }),
    });
    const response = socket.takeSent().toString();
    const wasOver = socket.isOver;

    socket.arrive(Buffer.from('67890'));
    await setImmediate();

    assert.match(response, /^HTTP\/1\.1 415 .*\r\nno\r\n/s);
    assert.equal(wasOver, false);
    assert.ok(socket.isOver);
  });
}

test('a request that waits for its turn is not served if its client leaves', async () => {
  let turn: (() => void) | undefined;
  let served = 0;
  const flow = { ...unbounded, isSpent: true, wait: (task: () => void) => void (turn = task) };
  const { socket } = await connect(incomplete, {
    flow,
    async serve() {
      served++;
      return { status: 200, fields: [] };
    },
  });

  socket.reset();
  await setImmediate();
  turn?.();

  assert.ok(turn);
  assert.equal(served, 0);
});

test('an idle connection gets no response, whatever its last request expected', async () => {
  const request = 'GET / HTTP/1.1\r\nhost: x\r\nexpect: something\r\n\r\n';
  const { clock, socket, connection } = await connect(request, {
    serve: async () => ({ status: 200, fields: ['content-length', '0'] }),
  });
  const response = socket.takeSent().toString();

  clock.now += times.preface;
  connection.tick();
  const more = socket.takeSent().toString();

  assert.match(response, /^HTTP\/1\.1 200 /);
  assert.equal(more, '');
});

test('a request without a host gets one response, whatever follows', async () => {
  for (const more of ['', '\0', 'GET / HTTP/1.1\r\n\r\n']) {
    const { socket } = await connect(`GET / HTTP/1.1\r\n\r\n${more}`, {
      serve: () => assert.fail('it is served'),
    });

    const responses = socket.takeSent().toString().split('HTTP/1.1 ');

    assert.equal(responses.length, 2);
    assert.match(responses[1] ?? '', /^400 Bad Request\r\n/);
    assert.ok(socket.isOver);
  }
});

test('the body of a response ends if its client has left', async () => {
  const serving = Promise.withResolvers<void>();
  const { body, ended } = createBody();
  const { socket } = await connect(incomplete, {
    async serve() {
      await serving.promise;
      return { status: 200, fields: [], body };
    },
  });

  socket.reset();
  await setImmediate();
  serving.resolve();

  await ended;
});
