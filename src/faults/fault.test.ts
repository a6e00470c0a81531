import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Status } from 'nice-grpc-common';
import { parseFaults } from './fault.ts';

const conditions = { p: undefined, attempts: undefined, nth: undefined, host: undefined };

test('parseFaults() reads every action', () => {
  const text =
    'status=14;after=1;message=a%2Cb%3Bc;pushback=500ms;retry-info=2s, delay=100ms..2s, reset=CANCEL,refuse,' +
    'drop;after=2,goaway,hang,http=503,pause=1s,rate=8KiB,truncate,garbage,no-status,corrupt-compression,big=5MiB';

  const faults = parseFaults(text);

  const actions = faults.map(({ p: _p, attempts: _a, nth: _n, host: _h, ...action }) => action);
  assert.deepEqual(actions, [
    {
      kind: 'status',
      code: Status.UNAVAILABLE,
      after: 1,
      message: 'a,b;c',
      pushback: 500,
      retryInfo: 2000,
    },
    { kind: 'delay', ms: [100, 2000], after: 0 },
    { kind: 'reset', code: 8, after: 0 },
    { kind: 'refuse', after: 0 },
    { kind: 'drop', after: 2 },
    { kind: 'goaway', after: 0 },
    { kind: 'hang', after: 0 },
    { kind: 'http', status: 503, after: 0 },
    { kind: 'pause', ms: [1000, 1000] },
    { kind: 'rate', bytes: 8192 },
    { kind: 'truncate', after: 0 },
    { kind: 'garbage', after: 0 },
    { kind: 'no-status', after: undefined },
    { kind: 'corrupt-compression', after: 0 },
    { kind: 'big', bytes: 5 * 1024 ** 2, after: 0 },
  ]);
});

test('parseFaults() reads the conditions', () => {
  const [fault] = parseFaults('refuse; p=0.25 ;attempts=2;nth=3;host=pod-1');

  const expected = { ...conditions, p: 0.25, attempts: 2, nth: 3, host: 'pod-1' };
  assert.deepEqual(fault, { kind: 'refuse', after: 0, ...expected });
});

for (const [text, rule] of [
  ['', /entry 1, "": must not be empty/],
  ['unknown', /must begin with one of status, delay/],
  ['Status=14', /must begin with status, in lower case/],
  ['status=unavailable', /status must be in upper case: UNAVAILABLE/],
  ['reset=cancel', /reset must be in upper case: CANCEL/],
  ['refuse;p=50%', /p must be a number from 0 to 1, such as 0.5/],
  ['refuse,', /entry 2, ""/],
  ['toString', /must begin with/],
  ['status', /status needs a value/],
  ['status=OK', /other than OK/],
  ['status=constructor', /other than OK/],
  ['status=17', /other than OK/],
  ['reset=OOPS', /HTTP\/2 error code/],
  ['reset=4294967296', /HTTP\/2 error code/],
  ['refuse=1', /refuse has no value/],
  ['delay=2s..1s', /a shorter and a longer one/],
  ['delay=fast', /delay must be a duration/],
  ['http=100', /from 200 to 599/],
  ['refuse;after=1', /refuse has no parameter "after"/],
  ['refuse;p=2', /p must be a number from 0 to 1/],
  ['refuse;p', /must be NAME=VALUE/],
  ['refuse;p=1;p=1', /p must be given once/],
  ['status=14;message=%E0', /message must be percent-encoded UTF-8, with %25 for %/],
  ['big=1TiB', /from 1 to 64MiB/],
  [Array.from({ length: 17 }, () => 'refuse').join(), /at most 16 entries/],
  [`status=14;message=${'x'.repeat(1024)}`, /at most 1024 characters/],
] as const) {
  test(`parseFaults() refuses ${text.slice(0, 40)}`, () => {
    assert.throws(() => parseFaults(text), { name: 'RangeError', message: rule });
  });
}
