import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { settingRows, type SettingRow } from '../../src/config.ts';
import type { Given } from './agreement.ts';
import { certificate } from './certificate.ts';
import type { Random } from '../hpack/random.ts';

/** Files that settings may name; a certificate and its key match. */
export interface Files {
  pairs: readonly [readonly [cert: string, key: string]];
  wrong: readonly [string, ...string[]];
}

/** Writes them into a folder. */
export async function writeFiles(folder: string): Promise<Files> {
  const [one, other] = await Promise.all([certificate(), certificate()]);
  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  return {
    pairs: [[file('cert.pem', one.cert), file('key.pem', one.key)]],
    wrong: [
      file('other.pem', other.key),
      file('empty.pem', ''),
      file('cut.pem', one.cert.slice(0, 300)),
      file('garbage.pem', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'),
      join(folder, 'nowhere.pem'),
      folder,
      '/dev/zero',
    ],
  };
}

/** A secret in settings, which must not be printed. */
export const secret = 's3cret';

type Some = readonly [string, ...string[]];

/** Valid values by the placeholder of a setting; other settings only get their defaults. */
const right: Record<string, Some> = {
  ADDRESSES: ['127.0.0.1:0', ':0', '[::1]:0', 'localhost:0', '127.1:0, [::]:0'],
  'on|off': ['on', 'off', 'true', 'false'],
  'on|off|RULES': ['on', 'off', 'status=UNAVAILABLE;p=0.2', 'delay=1ms..2s, reset=CANCEL;after=1'],
  DURATION: ['20s', '1m', '1m30s', '25.5s'],
  COUNT: ['1', '100', '0500', '1000000'],
  SIZE: ['64KiB', '100000', '1KiB'],
};

/** Valid values by the name of a setting. */
const rightOf: Record<string, Some> = {
  engine: ['direct', 'grpc-js'],
  // Higher levels log no line at which the test could end the server.
  'log-level': ['debug', 'info'],
  'log-format': ['auto', 'json', 'human'],
  // This delays the end of the test.
  'shutdown-delay': ['0', '0s', '5ms'],
  'keepalive-time': ['60s', '2m'],
  'keepalive-timeout': ['1s', '20s'],
  'max-deadline': ['1h', '87600h'],
  'idle-timeout': ['none', '5m'],
  'max-buffered-bytes': ['64MiB', '1GiB', '30000000'],
  'max-message-size': ['4MiB', '1KiB', '1000000'],
};

/** Values that are valid for few settings or none, or conflict with others. */
const wrong: Record<string, Some> = {
  ADDRESSES: [
    ':99999',
    ':0,',
    '::1:0',
    '[::1',
    '[fe80::1]:1',
    '[::1%none]:0',
    '256.0.0.1:0',
    'a..b:0',
    'localhost:1,127.0.0.1:1',
    '[::ffff:127.0.0.1]:1,127.1:1',
    '0.0.0.0:1,[::]:1',
    'unix:',
    'unix:@abstract',
    'unix:/nowhere/a.sock',
    'unix:/dev/null',
    `unix:${'\u00e9'.repeat(60)}`,
    'unix:a.sock,unix:./a.sock',
    'http://localhost:1',
  ],
  DURATION: ['5 s', '5s5', '1.5.5s', '\u0663s', '1ms', '577h', 'none', '-1s'],
  SIZE: ['4mib', '1TiB', '8MiB', '2MiB', '1', 'off'],
  COUNT: ['0', '1e3', '0x10', 'NaN', 'Infinity', '9'.repeat(400), 'auto'],
};

/** Values that are hardly valid for any setting; accented characters have several bytes. */
const wild: Some = [
  ' ',
  '-',
  '-1',
  '0',
  'ON',
  'on,off',
  '__proto__',
  'constructor',
  '%s%n%d',
  '$(id)',
  '\u202edrow\n\u001b[2J',
  '\u{1f4a5}',
];

const flags = settingRows().filter(({ name }) => !name.startsWith('tls-'));

const places = flags.filter(({ value }) => value === 'ADDRESSES');

/** Random settings, half of them with possibly invalid values. */
export function randomSettings(random: Random, files: Files): Given {
  const args: string[] = [];
  // Fixed ports may be in use.
  const env: Record<string, string> = {
    GREETER_LISTEN: '127.0.0.1:0',
    GREETER_ADMIN_LISTEN: 'off',
    GREETER_HEALTH_LISTEN: 'off',
  };
  for (let left = random.below(6); left > 0; left--) {
    const row = pick(flags);
    set(row, random.pick(rightOf[row.name] ?? right[row.value] ?? [row.fallback]));
  }
  if (random.oneIn(4)) setTls(random.pick(files.pairs));
  if (random.oneIn(4)) setTracing();
  if (random.oneIn(2)) spoil();
  return { args, env };

  /** A setting of a random kind, as some kinds have many settings. */
  function pick(rows: readonly SettingRow[]): SettingRow {
    const ofAKind = Object.values(Object.groupBy(rows, ({ value }) => value));
    const of = ofAKind[random.below(ofAKind.length)] ?? [];
    return of[random.below(of.length)] ?? pick(rows);
  }

  function set(row: SettingRow, value: string): void {
    const flag = `--${row.name}`;
    // Some settings listen on fixed ports by default.
    if (random.oneIn(3) && value !== '') env[row.env] = value;
    else if (random.oneIn(2)) args.push(`${flag}=${value}`);
    else args.push(flag, value);
  }

  function setTls([cert, key]: readonly [string, string]): void {
    env['GREETER_TLS_CERT_FILE'] = cert;
    args.push('--tls-key-file', key);
    if (random.oneIn(3)) args.push('--tls-client-ca-file', cert);
  }

  function setTracing(): void {
    const [cert, key] = random.pick(files.pairs);
    const exporter = 'OTEL_EXPORTER_OTLP';
    env[`${exporter}_ENDPOINT`] = `http://me:${secret}@127.0.0.1:9/?key=${secret}`;
    env[`${exporter}_HEADERS`] = `api-key=${secret}`;
    if (random.oneIn(3)) {
      env[`${exporter}_CLIENT_CERTIFICATE`] = cert;
      env[`${exporter}_CLIENT_KEY`] = random.oneIn(2) ? key : random.pick(files.wrong);
    }
    if (random.oneIn(3)) env[`${exporter}_CERTIFICATE`] = random.pick([cert, ...files.wrong]);
    if (random.oneIn(3)) env[`${exporter}_HEADERS`] = `content-length=5,api-key=${secret}`;
    if (random.oneIn(3)) env[`${exporter}_ENDPOINT`] = `me:${secret}@127.0.0.1:9?key=${secret}`;
    if (random.oneIn(3)) env['OTEL_TRACES_SAMPLER'] = random.pick(wild);
    if (random.oneIn(3)) env['OTEL_BSP_SCHEDULE_DELAY'] = random.pick(wild);
    if (random.oneIn(3)) env['OTEL_RESOURCE_ATTRIBUTES'] = random.pick(wild);
  }

  function spoil(): void {
    const row = pick(flags);
    const { name } = row;
    const at = random.below(name.length);
    random.pick([
      () => set(row, random.pick(wrong[row.value] ?? wild)),
      () => set(row, random.pick(wrong[row.value] ?? wild)),
      // The system decides about the validity of these.
      () => set(pick(places), random.pick(wrong['ADDRESSES'] ?? wild)),
      () => set(pick(places), random.pick(wrong['ADDRESSES'] ?? wild)),
      () => set(pick(places), random.pick(wrong['ADDRESSES'] ?? wild)),
      () => set(row, random.pick(wild)),
      () => set(row, random.text(12).replaceAll('\0', '')),
      () => set(pick(settingRows()), random.pick(files.wrong)),
      () => args.push('--tls-cert-file', random.pick([files.pairs[0][0], ...files.wrong])),
      () => args.push(`--${name.slice(0, at)}${name.slice(at + 1)}`, row.fallback),
      () => args.push(`--${name.slice(0, at)}x${name.slice(at)}=${row.fallback}`),
      () => args.push(`-${name}`, row.fallback),
      () => args.push(`--${name}`),
      () => args.push(random.pick(wild)),
    ])();
  }
}
