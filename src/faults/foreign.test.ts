import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Metadata, type ServerError, Status } from 'nice-grpc-common';
import { ofEnvoy, ofRpcBehavior } from './foreign.ts';

function behavior(values: readonly string[], attempts?: string) {
  const metadata = Metadata();
  for (const value of values) metadata.append('rpc-behavior', value);
  if (attempts !== undefined) metadata.set('grpc-previous-rpc-attempts', attempts);
  return ofRpcBehavior(metadata, 'here');
}

const refusal = (step: string) => `rpc failed as per the rpc-behavior header value: ${step}`;
const aborted = {
  kind: 'status',
  code: Status.ABORTED,
  after: 0,
  message: refusal('error-code-10'),
};

test('rpc-behavior is a list of steps, until one decides', () => {
  assert.deepEqual(behavior(['sleep-2,error-code-10,keep-open']), [
    { kind: 'delay', ms: [2000, 2000], after: 0 },
    aborted,
  ]);
  assert.deepEqual(behavior(['keep-open', 'error-code-10']), [{ kind: 'hang', after: 0 }]);
  assert.deepEqual(behavior(['unknown,error-code-0']), []);
});

test('rpc-behavior succeeds on a retry attempt', () => {
  const steps = ['succeed-on-retry-attempt-2,error-code-10'];

  assert.deepEqual(behavior(steps), [aborted]);
  assert.deepEqual(behavior(steps, '1'), [aborted]);
  assert.deepEqual(behavior(steps, '2'), []);
  assert.deepEqual(behavior(['succeed-on-retry-attempt-0,error-code-10']), []);
});

test('rpc-behavior may be for one host', () => {
  assert.deepEqual(behavior(['hostname=here error-code-10']), [aborted]);
  assert.deepEqual(behavior(['hostname=there error-code-10']), []);
});

for (const step of [
  'sleep-',
  'sleep-x',
  'error-code--1',
  'hostname=here',
  'succeed-on-retry-attempt-x',
]) {
  test(`rpc-behavior refuses ${step}`, () => {
    assert.throws(
      () => behavior([step]),
      (error: ServerError) => error.code === Status.INVALID_ARGUMENT,
    );
  });
}

function envoy(fields: Record<string, string>) {
  const metadata = Metadata();
  for (const [name, value] of Object.entries(fields)) metadata.set(`x-envoy-fault-${name}`, value);
  return ofEnvoy(metadata);
}

test("Envoy's headers delay first, then abort", () => {
  const faults = envoy({
    'abort-grpc-request': '14',
    'abort-request-percentage': '50',
    'delay-request': '200',
    'delay-request-percentage': '250',
    'throughput-response': '8',
    'throughput-response-percentage': '0',
  });

  assert.deepEqual(faults, [
    { kind: 'delay', ms: [200, 200], after: 0, p: 1 },
    { kind: 'rate', bytes: 8192, p: 0 },
    { kind: 'status', code: 14, after: 0, message: 'fault filter abort', p: 0.5 },
  ]);
});

test("Envoy's HTTP status is mapped to that of gRPC", () => {
  const codes = [401, 403, 404, 429, 503, 500, 200].map((status) => {
    const [fault] = envoy({ 'abort-request': String(status) });
    return fault?.kind === 'status' && fault.code;
  });

  assert.deepEqual(codes, [16, 7, 12, 14, 14, 2, 2]);
});

test("Envoy's headers are ignored if they are invalid", () => {
  const invalid = {
    'abort-request': '199',
    'abort-grpc-request': 'UNAVAILABLE',
    'delay-request': '-1',
    'throughput-response': '0',
  };

  assert.deepEqual(envoy(invalid), []);
});
