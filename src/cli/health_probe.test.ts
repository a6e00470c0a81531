import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readFlags } from './flags.ts';
import { parseGoFlags } from './go_flags.ts';
import { parsedOptions, probeFlags, readProbe, readTls } from './health_probe.ts';

function readLine(...argv: string[]) {
  const args = parseGoFlags(probeFlags, argv);
  assert.ok(args !== 'help');
  const read = readFlags(args);
  const probe = readProbe(read);
  const tls = readTls(read, probe);
  return { probe, tls, problems: read.problems, verbose: () => parsedOptions(read, probe) };
}

test('readProbe() has the defaults of grpc-health-probe', () => {
  const { probe, tls, problems } = readLine('-addr', 'x:1');

  assert.deepEqual(problems, []);
  assert.equal(tls, undefined);
  assert.deepEqual(probe, {
    address: 'x:1',
    service: '',
    userAgent: 'grpc_health_probe',
    connectTimeout: 1000,
    rpcTimeout: 1000,
    headers: [],
    gzip: false,
  });
});

test('readProbe() reads headers in order, with names in lower case and values without leading space', () => {
  const headers = ['A:1', 'b: \t2 3 ', 'a:x:y', 'empty:', ':none'].flatMap((text) => [
    '-rpc-header',
    text,
  ]);

  const { probe, problems } = readLine('-addr=x:1', '-gzip', ...headers);

  assert.deepEqual(problems, []);
  assert.equal(probe.gzip, true);
  assert.deepEqual(probe.headers, [
    ['a', '1'],
    ['b', '2 3 '],
    ['a', 'x:y'],
    ['empty', ''],
    ['', 'none'],
  ]);
});

test('readProbe() treats an empty value as unset where grpc-health-probe does', () => {
  const flags = ['ca-cert', 'client-cert', 'client-key', 'server-name'].map(
    (name) => `-tls-${name}=`,
  );

  assert.deepEqual(readLine('-addr=x:1', ...flags).problems, []);
  assert.deepEqual(readLine('-addr=').problems, ['--addr: is required']);
});

test('readProbe() accepts the unsupported flags of grpc-health-probe unless they are used', () => {
  assert.deepEqual(readLine('-addr=x:1', '-alts=false', '-spiffe=false').problems, []);
  assert.deepEqual(readLine('-addr=x:1', '-alts', '-spiffe').problems, [
    '--alts: greeter has no such thing; grpc-health-probe does',
    '--spiffe: greeter has no such thing; grpc-health-probe does',
  ]);
});

test('readProbe() reports the errors for which grpc-health-probe exits 1', () => {
  const file = import.meta.filename;
  const known: Record<string, readonly string[]> = {
    '-connect-timeout 0': ['--connect-timeout: must be more than 0s'],
    '-rpc-timeout -1s': ['--rpc-timeout: must be more than 0s'],
    '-rpc-timeout 1': ['--rpc-timeout "1": must be a duration such as 250ms, 5s or 1m30s'],
    '-rpc-header none': ['--rpc-header "none": must be NAME:VALUE'],
    '-tls-no-verify': ['--tls-...: need --tls as well'],
    '-tls-server-name x': ['--tls-...: need --tls as well'],
    [`-tls -tls-client-cert ${file}`]: [
      '--tls-client-cert, --tls-client-key: must be given together',
    ],
    [`-tls -tls-client-key ${file}`]: [
      '--tls-client-cert, --tls-client-key: must be given together',
    ],
    [`-tls -tls-ca-cert ${file}`]: [
      `--tls-ca-cert "${file}": must be a PEM file with a certificate`,
    ],
    '-tls -tls-no-verify -tls-server-name x': [
      '--tls-no-verify, --tls-server-name: must not be given together',
    ],
    '-connect-timeout 100000h -rpc-timeout 1ns': [],
    '-tls -tls-server-name x': [],
  };

  for (const [line, problems] of Object.entries(known)) {
    assert.deepEqual(readLine('-addr', 'x:1', ...line.split(' ')).problems, problems, line);
  }
});

test('parsedOptions() prints what grpc-health-probe prints, and hides header values', () => {
  const plain = readLine(
    '-addr=x:1',
    '-rpc-timeout=90s',
    '-rpc-header=k:secret',
    '-rpc-header=K:2',
  );
  const tls = readLine('-addr=x:1', '-tls', '-tls-no-verify', '-connect-timeout=1500us');

  assert.deepEqual(plain.verbose(), [
    'parsed options:',
    '> addr=x:1 conn_timeout=1s rpc_timeout=1m30s',
    '> headers: {map[<1 redacted>]}',
    '> tls=false',
    '> alts=false',
    '> spiffe=false',
  ]);
  assert.deepEqual(tls.verbose(), [
    'parsed options:',
    '> addr=x:1 conn_timeout=1.5ms rpc_timeout=1s',
    '> tls=true',
    '  > no-verify=true ',
    '  > ca-cert=',
    '  > client-cert=',
    '  > client-key=',
    '  > server-name=',
    '> alts=false',
    '> spiffe=false',
  ]);
});
