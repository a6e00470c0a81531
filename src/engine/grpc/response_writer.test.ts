import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as immediate } from 'node:timers/promises';
import { AbortError } from 'abort-controller-x';
import { ServerError, Status } from 'nice-grpc-common';
import { Scheduler } from '../scheduler.ts';
import { plainFields } from './response_headers.ts';
import { ResponseWriter, statusOf } from './response_writer.ts';

test('statusOf() uses the status of a ServerError, and hides other errors', (t) => {
  const emitWarning = t.mock.method(process, 'emitWarning', () => {});
  const codeOf = (error: unknown) => statusOf(error, '/a/B').code;

  assert.equal(codeOf(new ServerError(Status.NOT_FOUND, 'x')), Status.NOT_FOUND);
  assert.equal(codeOf(new AbortError()), Status.CANCELLED);
  assert.equal(emitWarning.mock.callCount(), 0);
  const secret = statusOf(new Error('secret'), '/a/B');
  assert.deepEqual(secret, { code: Status.UNKNOWN, details: 'Unknown server error occurred' });
  assert.match(String(emitWarning.mock.calls[0]?.arguments[0]), /\/a\/B.*secret/);
  assert.equal(codeOf(undefined), Status.UNKNOWN);
});

test('send() continues after a drain that came before writable() was awaited', async () => {
  const turns: (() => void)[] = [];
  const scheduler = new Scheduler((turn) => void turns.push(turn));
  const flow = scheduler.createFlow();
  const stream = {
    flow,
    closed: false,
    messageBytes: 100_000,
    respond() {},
    write: () => true,
    keepLast() {},
  };
  const head = { fields: [], responseEncoding: undefined };
  const method = {
    path: '/a.B/C',
    responseStream: true,
    encode: (length: number) => new Uint8Array(length),
  };
  // They have what is asked of them here.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  const parts = { stream, head, method, own: plainFields } as unknown as ConstructorParameters<
    typeof ResponseWriter
  >[0];
  let goneOn = 0;
  const sendOne = async (response: ResponseWriter) => {
    if (!(await response.send(16_000))) await response.writable();
    goneOn++;
  };

  // The work of more than three turns: sending is deferred, and exceeds the flow's quota.
  scheduler.createFlow().spend(100_000);
  for (let i = 0; i < 70; i++) void sendOne(new ResponseWriter(parts));
  for (let i = 0; i < 20; i++) {
    for (const turn of turns.splice(0)) turn();
    await immediate();
  }

  assert.equal(goneOn, 70);
});

test('send() encodes nothing for a stream that is closed, and lets only a response stream wait', () => {
  const stream = { closed: true, messageBytes: 0 };
  const head = { fields: [], responseEncoding: undefined };
  for (const responseStream of [false, true]) {
    const encode = () => assert.fail('encodes');
    const method = { path: '/a.B/C', responseStream, encode };
    // They have what is asked of them here.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    const parts = { stream, head, method, own: plainFields } as unknown as ConstructorParameters<
      typeof ResponseWriter
    >[0];

    assert.equal(new ResponseWriter(parts).send('a message'), !responseStream);
  }
});
