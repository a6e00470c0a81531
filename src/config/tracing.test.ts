import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { certificate } from '../../test/support/certificate.ts';
import { type Complaint, readTracing } from './tracing.ts';

type Env = Readonly<Record<string, string | undefined>>;

/** The configuration that is read, and its warnings. */
function read(env: Env) {
  const told: string[] = [];
  const complain = ({ level, message, reason }: Complaint) =>
    void told.push(`${level}, ${message}: ${reason}`);
  return { tracing: readTracing(env, complain), told };
}

const on = { OTEL_TRACES_EXPORTER: 'otlp' };

test('readTracing() enables tracing only if a standard variable does', () => {
  const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' };
  const environments: [Env, boolean][] = [
    [{}, false],
    [{ OTEL_SERVICE_NAME: 'x', OTEL_EXPORTER_OTLP_ENDPOINT: '' }, false],
    [endpoint, true],
    [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://collector:4318/v1/traces' }, true],
    [on, true],
    [{ ...endpoint, OTEL_TRACES_EXPORTER: 'none' }, false],
    [{ ...endpoint, OTEL_SDK_DISABLED: 'True' }, false],
    [{ ...endpoint, OTEL_SDK_DISABLED: 'false' }, true],
  ];

  for (const [env, isOn] of environments) {
    assert.equal(read(env).tracing !== undefined, isOn, JSON.stringify(env));
  }
});

test('readTracing() has the defaults of the specification', () => {
  const { tracing, told } = read(on);

  assert.deepEqual(told, []);
  assert.deepEqual(tracing, {
    url: 'http://localhost:4318/v1/traces',
    headers: {},
    protocol: 'http/protobuf',
    compression: 'none',
    timeout: 10_000,
    ca: undefined,
    clientCertificate: undefined,
    clientKey: undefined,
    resource: { 'service.name': 'greeter' },
    sampler: 'parentbased_always_on',
    samplerRatio: 1,
    scheduleDelay: 5000,
    exportTimeout: 30_000,
    maxQueueSize: 2048,
    maxExportBatchSize: 512,
    spanLimits: { attributeCountLimit: 128, attributeValueLengthLimit: 1_000_000 },
  });
});

test('readTracing() reads every variable, and prefers those for traces', () => {
  const { tracing, told } = read({
    OTEL_EXPORTER_OTLP_ENDPOINT: 'https://collector/under/',
    OTEL_EXPORTER_OTLP_HEADERS: 'x-for=all',
    OTEL_EXPORTER_OTLP_TRACES_HEADERS: 'authorization=Basic%20YTpi, x-tenant = a ',
    OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
    OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: 'HTTP/JSON',
    OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip',
    OTEL_EXPORTER_OTLP_TIMEOUT: '250',
    OTEL_SERVICE_NAME: 'mine',
    OTEL_RESOURCE_ATTRIBUTES: 'service.name=theirs,deployment.environment.name=a%2Cb',
    OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
    OTEL_TRACES_SAMPLER_ARG: '0.01',
    OTEL_PROPAGATORS: 'tracecontext,baggage',
    OTEL_BSP_SCHEDULE_DELAY: '100',
    OTEL_BSP_EXPORT_TIMEOUT: '200',
    OTEL_BSP_MAX_QUEUE_SIZE: '64',
    OTEL_ATTRIBUTE_COUNT_LIMIT: '7',
    OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT: '8',
    OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT: '9',
  });

  assert.deepEqual(told, []);
  assert.partialDeepStrictEqual(tracing, {
    url: 'https://collector/under/v1/traces',
    headers: { authorization: 'Basic YTpi', 'x-tenant': 'a' },
    protocol: 'http/json',
    compression: 'gzip',
    timeout: 250,
    resource: { 'service.name': 'mine', 'deployment.environment.name': 'a,b' },
    sampler: 'parentbased_traceidratio',
    samplerRatio: 0.01,
    scheduleDelay: 100,
    exportTimeout: 200,
    maxQueueSize: 64,
    maxExportBatchSize: 64,
    spanLimits: { attributeCountLimit: 7, attributeValueLengthLimit: 9 },
  });
});

test('readTracing() uses the endpoint for traces unchanged', () => {
  const { tracing } = read({
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://a:4318',
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://b:4318/spans',
  });

  assert.equal(tracing?.url, 'http://b:4318/spans');
});

const pairs = 'must be NAME=VALUE with commas between, values percent-encoded';
const whole = (max: number) => `must be a whole number from 1 to ${max}`;

test('readTracing() warns of invalid words and numbers, and uses the defaults', () => {
  const { tracing, told } = read({
    OTEL_SDK_DISABLED: 'perhaps',
    OTEL_TRACES_EXPORTER: 'zipkin',
    OTEL_PROPAGATORS: 'b3',
    OTEL_BSP_MAX_QUEUE_SIZE: '10',
    OTEL_EXPORTER_OTLP_PROTOCOL: 'GRPC',
    OTEL_EXPORTER_OTLP_COMPRESSION: 'zstd',
    OTEL_EXPORTER_OTLP_TIMEOUT: '-1',
    OTEL_RESOURCE_ATTRIBUTES: 'a=%zz',
    OTEL_TRACES_SAMPLER: 'jaeger_remote',
    OTEL_TRACES_SAMPLER_ARG: '1.5',
    OTEL_BSP_SCHEDULE_DELAY: '5s',
    OTEL_BSP_EXPORT_TIMEOUT: 'soon',
    OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '11',
    OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT: 'many',
  });

  assert.deepEqual(
    told,
    [
      'OTEL_SDK_DISABLED "perhaps": must be one of true, false',
      'OTEL_TRACES_EXPORTER "zipkin": must be one of otlp, none',
      'OTEL_PROPAGATORS "b3": must include tracecontext',
      'OTEL_EXPORTER_OTLP_PROTOCOL "GRPC": must be one of http/protobuf, http/json: HTTP is sent, usually to port 4318',
      'OTEL_EXPORTER_OTLP_COMPRESSION "zstd": must be one of none, gzip',
      `OTEL_EXPORTER_OTLP_TIMEOUT "-1": ${whole(3_600_000)}`,
      `OTEL_RESOURCE_ATTRIBUTES "a=%zz": ${pairs}`,
      'OTEL_TRACES_SAMPLER "jaeger_remote": must be one of always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off, parentbased_traceidratio',
      'OTEL_TRACES_SAMPLER_ARG "1.5": must be a number from 0 to 1',
      `OTEL_BSP_SCHEDULE_DELAY "5s": ${whole(3_600_000)}`,
      `OTEL_BSP_EXPORT_TIMEOUT "soon": ${whole(3_600_000)}`,
      `OTEL_BSP_MAX_EXPORT_BATCH_SIZE "11": ${whole(10)}`,
      'OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT "many": must be a whole number from 0 to 1000000',
    ].map((reason) => `warn, the default is used: ${reason}`),
  );
  assert.deepEqual(tracing, {
    ...read(on).tracing,
    maxQueueSize: 10,
    maxExportBatchSize: 10,
  });
});

const off = 'error, tracing is off: ';

test('readTracing() disables tracing, with one error without secrets, if spans could not be sent', () => {
  const { tracing, told } = read({
    OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4317',
    OTEL_EXPORTER_OTLP_HEADERS: 'my password',
    OTEL_EXPORTER_OTLP_CERTIFICATE: '/nowhere',
  });

  assert.equal(tracing, undefined);
  assert.deepEqual(told, [
    `${off}OTEL_EXPORTER_OTLP_ENDPOINT "collector:4317": must be a URL, http://HOST:PORT or https://HOST:PORT; ` +
      `OTEL_EXPORTER_OTLP_HEADERS: ${pairs}; ` +
      `OTEL_EXPORTER_OTLP_CERTIFICATE "/nowhere": must be a file that can be read: ENOENT: no such file or directory, open '/nowhere'`,
  ]);
});

test('readTracing() ignores the general endpoint if there is one for traces', () => {
  const { tracing, told } = read({
    OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4317',
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://b:4318/spans',
  });

  assert.deepEqual(told, []);
  assert.equal(tracing?.url, 'http://b:4318/spans');
});

test('readTracing() requires a certificate with its own key', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'greeter-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const [one, other] = await Promise.all([certificate(), certificate()]);
  const file = (name: string, pem: string) => {
    writeFileSync(join(folder, name), pem);
    return join(folder, name);
  };
  const cert = { OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: file('cert.pem', one.cert) };
  const key = { OTEL_EXPORTER_OTLP_CLIENT_KEY: file('key.pem', one.key) };
  const others = { OTEL_EXPORTER_OTLP_CLIENT_KEY: file('other.pem', other.key) };
  const begun = { OTEL_EXPORTER_OTLP_CERTIFICATE: file('ca.pem', '-----BEGIN CERTIFICATE-----') };

  const both = 'OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE, OTEL_EXPORTER_OTLP_CLIENT_KEY';
  assert.deepEqual(read({ ...on, ...key }).told, [`${off}${both}: must be given together`]);
  assert.deepEqual(read({ ...on, ...cert, ...others }).told, [
    `${off}${both}: must be a certificate and its key: the key is that of another`,
  ]);
  assert.match(
    read({ ...on, ...begun }).told.join(),
    /^error, tracing is off: .*certificates in PEM/,
  );
  const good = read({ ...on, ...cert, ...key });
  assert.deepEqual(good.told, []);
  assert.equal(good.tracing?.clientKey?.pem, one.key);
});

test('readTracing() accepts only valid HTTP headers', () => {
  const { told } = read({ ...on, OTEL_EXPORTER_OTLP_HEADERS: 'a=line%0Abreak' });

  assert.deepEqual(told, [
    `${off}OTEL_EXPORTER_OTLP_HEADERS: must be names and values that HTTP headers can have`,
  ]);
});

test('readTracing() rejects headers that belong to the HTTP client', () => {
  const names = ['Content-Length', 'host', 'connection', 'transfer-encoding', 'content-type', 'te'];

  for (const name of [...names, 'upgrade', 'expect', 'content-encoding']) {
    const { tracing, told } = read({ ...on, OTEL_EXPORTER_OTLP_HEADERS: `a=b,${name}=5` });
    assert.equal(tracing, undefined);
    assert.deepEqual(told, [
      `${off}OTEL_EXPORTER_OTLP_HEADERS: must not have "${name}", which HTTP itself sets`,
    ]);
  }
});

test('readTracing() rejects a user and a password in a URL that cannot be decoded', () => {
  const endpoint = 'OTEL_EXPORTER_OTLP_ENDPOINT';
  const rule = 'must have its user and password percent-encoded';

  for (const user of ['user:sec%ZZ', 'us%ff']) {
    const { tracing, told } = read({ [endpoint]: `http://${user}@collector:4318/?key=1` });
    assert.equal(tracing, undefined);
    const shown = 'http://hidden@collector:4318/?hidden';
    assert.deepEqual(told, [`${off}${endpoint} "${shown}": ${rule}`]);
  }
  const url = 'http://user:a%40b@collector:4318/v1/traces';
  assert.equal(read({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: url }).tracing?.url, url);
});

test('readTracing() shows no password of an invalid URL', () => {
  const shown = {
    'user:secret@collector:4318': 'hidden@collector:4318',
    'ftp://user:secret@collector/x': 'hidden@collector/x',
    'http://user:sec/ret@collector:4318': 'http://hidden@collector:4318',
    'https:user:secret@a:x?key=secret': 'https:hidden@a:x?hidden',
    'collector:4317?key=secret#secret': 'collector:4317?hidden',
  };
  for (const [text, expected] of Object.entries(shown)) {
    for (const name of ['OTEL_EXPORTER_OTLP_ENDPOINT', 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT']) {
      const [told = ''] = read({ [name]: text }).told;
      assert.ok(told.startsWith(`${off}${name} "${expected}": must be a URL`), told);
    }
  }
});

test('readTracing() rejects a file that may have no end', () => {
  for (const path of ['/dev/zero', tmpdir()]) {
    const { tracing, told } = read({ ...on, OTEL_EXPORTER_OTLP_CERTIFICATE: path });
    assert.equal(tracing, undefined);
    assert.deepEqual(told, [
      `${off}OTEL_EXPORTER_OTLP_CERTIFICATE "${path}": must be a regular file of at most 1MiB`,
    ]);
  }
});
