import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type Arbitrary,
  array,
  assert as check,
  asyncProperty,
  constantFrom,
  oneof,
  property,
  record,
  string,
  tuple,
  uniqueArray,
} from 'fast-check';
import { createFaultCounts } from '../src/faults/counts.ts';
import { parseFaults } from '../src/faults/fault.ts';
import { createFaults } from '../src/faults/middleware.ts';
import { EchoRequest } from './echo/gen/echo.ts';
import { eventually, serve } from './support/harness.ts';
import { kinds, paths } from './support/kinds.ts';
import { connectRaw, frame, type RawClient } from './support/raw_client.ts';

const seed = Number(process.env['FUZZ_SEED'] ?? 1);
const sessions = Number(process.env['FUZZ_SESSIONS'] ?? 60);

/** Actions without a value, and those with one. */
const actions = oneof(
  constantFrom('refuse', 'drop', 'goaway', 'hang', 'truncate', 'garbage', 'no-status'),
  constantFrom('corrupt-compression', 'status=14', 'status=INTERNAL', 'reset=CANCEL', 'http=503'),
  constantFrom('delay=1ms', 'delay=0s..5ms', 'pause=1ms', 'rate=4KiB', 'big=100KiB', 'big=9MiB'),
);
const parameters = constantFrom('after=0', 'after=1', 'after=2', 'p=0.5', 'nth=2', 'attempts=1');
const entry = tuple(
  actions,
  uniqueArray(parameters, { maxLength: 2, selector: (text) => text[0] }),
).map(([action, others]) => [action, ...others].join(';'));
const valid = array(entry, { minLength: 1, maxLength: 4 }).map((all) => all.join(', '));
const tokens = constantFrom(
  'status',
  'delay',
  'after',
  'p',
  '=',
  ';',
  ',',
  '..',
  '%',
  '%41',
  '1',
  '14',
  '2s',
  ' ',
  '__proto__',
);
const hostile = array(oneof(tokens, string({ maxLength: 5 })), { maxLength: 30 });

test('parseFaults() accepts faults or throws a RangeError, for any text', () => {
  const any = oneof(
    hostile.map((all) => all.join('')),
    valid,
    string({ maxLength: 2000 }),
  );
  const accepts = property(any, (text) => {
    try {
      const faults = parseFaults(text);
      assert.ok(faults.length > 0 && faults.length <= 16);
    } catch (error) {
      assert.ok(error instanceof RangeError, String(error));
      assert.ok(error.message.length < 400, error.message);
    }
  });
  check(accepts, { seed, numRuns: 50 * sessions });
});

const call = record({
  fault: oneof(
    { weight: 6, arbitrary: valid },
    hostile.map((all) => all.join('')),
  ),
  kind: constantFrom(...kinds),
  leaves: constantFrom('never', 'never', 'resets', 'does not read'),
  deadline: constantFrom('50m', '200m'),
});

test('a fault never survives its call, and nothing is left over', async () => {
  const counts = createFaultCounts();
  const faults = createFaults({ rules: [], max: 3, counts, hostname: 'here' });
  const limits = { maxBufferedBytes: 32 * 1024 ** 2 };
  await using server = await serve({ engine: 'direct', tls: false, faults, limits });
  const leavesNothing = asyncProperty(array(call, { minLength: 1, maxLength: 8 }), async (all) => {
    const raw = await connectRaw(server.address, { initialWindowSize: 1000 });
    raw.session.on('error', () => {});
    await Promise.all(all.map((each) => play(raw, each)));
    raw.close();

    await eventually('no calls', () => server.counts().calls === 0);
    await eventually('no streams', () => server.counts().streams === 0);
    await eventually('no bytes', () => {
      // The header tables of the other client stay.
      const { headers: _tables, connections: _open, ...held } = server.counts().heldBytes ?? {};
      return Object.values(held).every((bytes) => bytes === 0);
    });
    assert.equal(counts.active, 0);
    // It serves others as before.
    assert.deepEqual(await server.client.unary({ text: 'other' }), { text: 'other' });
  });
  await check(leavesNothing, { seed, numRuns: sessions, endOnFailure: true });
});

type Each = typeof call extends Arbitrary<infer T> ? T : never;

/** Makes a call; resolves when its stream is closed. */
async function play(raw: RawClient, { fault, kind, leaves, deadline }: Each): Promise<void> {
  const value = fault.replaceAll(/[^ -~]/g, '?').trim();
  if (raw.session.destroyed || raw.session.closed) return;
  const fields = { 'x-greeter-fault': value, 'grpc-timeout': deadline };
  const stream = raw.open(paths[kind], fields);
  const closed = new Promise((resolve) => stream.once('close', resolve));
  stream.end(frame(EchoRequest.encode({ text: 'x'.repeat(3000) }).finish()));
  if (leaves === 'resets') setImmediate(() => stream.close());
  if (leaves === 'does not read') setTimeout(() => stream.destroy(), 100);
  else stream.resume();
  await closed;
}
