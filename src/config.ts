import { checkClientAuthorities, checkServerPair } from './certificates.ts';
import { accessLog } from './config/access_log.ts';
import { type Address, addresses, addressesOrNone } from './config/addresses.ts';
import { corsOrigins } from './config/cors_origins.ts';
import { type Lookup, overlapProblems, resolvePlaces } from './config/listening.ts';
import { type ConnectionLimits, connectionLimits, leastBufferedBytes } from './config/memory.ts';
import { envName, nameAsGiven, withNames } from './config/names.ts';
import { duration, integer, onOff, oneOf, orForever, or, pemFile, size } from './config/parse.ts';
import type { Read } from './config/setting.ts';
import { type Complaint, readTracing, type TracingConfig } from './config/tracing.ts';
import { unknownVariables } from './config/unknown_variables.ts';
import { messageOf } from './message_of.ts';
import { readGuideSettings } from './services/guides/settings.ts';

/**
 * Every setting. A flag `--drain-timeout` is also the variable GREETER_DRAIN_TIMEOUT.
 * `--help`, `check-config` and docs/settings.md are made from this table.
 */
function readSettings(read: Read) {
  return {
    listen: read('listen', {
      value: 'ADDRESSES',
      fallback: ':50051,:9999',
      help: 'addresses to serve gRPC on: :PORT for all interfaces, HOST:PORT, [V6]:PORT or unix:PATH; port 0 takes a free port',
      parse: addresses,
    }),
    healthListen: read('health-listen', {
      value: 'ADDRESSES',
      fallback: 'auto',
      help: 'addresses for a plaintext server of grpc.health.v1.Health alone, for probes; off, or auto: :50052 with TLS, otherwise off',
      parse: addressesOrNone,
    }),
    adminListen: read('admin-listen', {
      value: 'ADDRESSES',
      fallback: ':9464',
      help: 'addresses for /metrics, /livez and /readyz over HTTP/1.1; off disables them',
      parse: or('off', addresses),
    }),
    engine: read('engine', {
      value: 'NAME',
      fallback: 'direct',
      help: 'the gRPC server: direct (the built-in engine) or grpc-js; docs/engines.md lists the differences',
      parse: oneOf('direct', 'grpc-js'),
    }),
    interop: read('interop', {
      value: 'on|off',
      fallback: 'on',
      help: "serves grpc.testing.TestService, gRPC's official interop test service, and the ORCA load reports that its tests ask for",
      parse: onOff,
    }),
    loadReports: read('load-reports', {
      value: 'on|off',
      fallback: 'off',
      help: 'reports load to clients (ORCA): in the trailers of each call, and through xds.service.orca.v3.OpenRcaService',
      parse: onOff,
    }),
    tlsCertFile: read('tls-cert-file', {
      value: 'FILE',
      fallback: 'off',
      help: 'certificate chain in PEM; enables TLS on every address',
      parse: pemFile,
    }),
    tlsKeyFile: read('tls-key-file', {
      value: 'FILE',
      fallback: 'off',
      help: 'private key of the certificate, in PEM',
      parse: pemFile,
    }),
    tlsClientCaFile: read('tls-client-ca-file', {
      value: 'FILE',
      fallback: 'off',
      help: 'certificate authorities for client certificates, in PEM; enables mutual TLS, without session resumption',
      parse: pemFile,
    }),
    tlsReloadInterval: read('tls-reload-interval', {
      value: 'DURATION',
      fallback: '10s',
      help: 'how often the TLS files are checked for changes (direct engine)',
      parse: duration({ min: '1s' }),
    }),
    logLevel: read('log-level', {
      value: 'LEVEL',
      fallback: 'info',
      help: 'debug, info, warn or error; calls are logged at info, those of health and reflection at debug, and at error if the server is at fault',
      parse: oneOf('debug', 'info', 'warn', 'error'),
    }),
    logFormat: read('log-format', {
      value: 'FORMAT',
      fallback: 'auto',
      help: 'json, human, or auto: human in a terminal, otherwise json',
      parse: oneOf('auto', 'json', 'human'),
    }),
    accessLog: read('access-log', {
      value: 'all|errors|off|1/N',
      fallback: 'all',
      help: 'which calls are logged: all, errors (those that do not end OK), off, or 1/N (errors and a random one in N of the others); calls that fail by a fault of the server are always logged. Metrics and traces are not affected',
      parse: accessLog,
    }),
    corsOrigins: read('cors-origins', {
      value: 'off|*|LIST',
      fallback: 'off',
      help: 'origins whose pages may call by Connect, gRPC-Web and JSON (direct engine): off, * for any, or a list with commas, as https://example.com',
      parse: corsOrigins,
    }),
    shutdownDelay: read('shutdown-delay', {
      value: 'DURATION',
      fallback: '0s',
      help: 'time to keep serving after SIGTERM while health reports NOT_SERVING; connected clients get GOAWAY when it begins (direct engine)',
      parse: duration({ min: '0s' }),
    }),
    drainTimeout: read('drain-timeout', {
      value: 'DURATION',
      fallback: '20s',
      help: 'time that open calls have to finish after that; then they are cut with UNAVAILABLE',
      parse: duration({ min: '0s' }),
    }),
    defaultDeadline: read('default-deadline', {
      value: 'DURATION',
      fallback: 'none',
      help: 'deadline of calls that come without one',
      parse: or('none', duration({ min: '1ms', max: '87600h' })),
    }),
    maxDeadline: read('max-deadline', {
      value: 'DURATION',
      fallback: '1h',
      help: 'longest deadline of a call; longer ones are shortened',
      parse: duration({ min: '1ms', max: '87600h' }),
    }),
    maxConnections: read('max-connections', {
      value: 'COUNT',
      fallback: 'auto',
      help: 'open connections; beyond it an idle connection of the client address with the most is closed, or the new one; auto is derived from the memory limit and --max-buffered-bytes, at most 15000 (direct engine)',
      parse: or('auto', integer(1, 1_000_000)),
    }),
    maxHandshakes: read('max-handshakes', {
      value: 'COUNT',
      fallback: 'auto',
      help: 'TLS handshakes in progress; more wait in a queue of four times as many (32 with a client CA), and each has 10 s; auto is derived from the memory limit, at most 256 (direct engine)',
      parse: or('auto', integer(1, 1_000_000)),
    }),
    maxConnectionAge: read('max-connection-age', {
      value: 'DURATION',
      fallback: '5m',
      help: 'age at which a connection gets GOAWAY, with 0 to 10 % of jitter; its calls in flight finish, new ones go to other connections',
      parse: orForever(duration({ min: '1s' })),
    }),
    maxConnectionAgeGrace: read('max-connection-age-grace', {
      value: 'DURATION',
      fallback: '20s',
      help: 'time that the calls of such a connection have to finish; then they are cut with UNAVAILABLE',
      parse: orForever(duration({ min: '0s' })),
    }),
    idleTimeout: read('idle-timeout', {
      value: 'DURATION',
      fallback: '5m',
      help: 'time without calls after which a connection gets GOAWAY; PINGs do not count as calls',
      parse: orForever(duration({ min: '1s' })),
    }),
    keepaliveTime: read('keepalive-time', {
      value: 'DURATION',
      fallback: '60s',
      help: 'inactivity after which the server sends a keepalive PING',
      parse: duration({ min: '1s' }),
    }),
    keepaliveTimeout: read('keepalive-timeout', {
      value: 'DURATION',
      fallback: '20s',
      help: 'time to wait for the answer to that PING before the connection is closed; at most --keepalive-time',
      parse: duration({ min: '1s' }),
    }),
    maxBufferedBytes: read('max-buffered-bytes', {
      value: 'SIZE',
      fallback: '64MiB',
      help: 'memory for messages, headers and output of all connections; large messages wait for room, and clients that use more than their share are paused, refused or end with RESOURCE_EXHAUSTED; at least twice --max-message-size and some KiB (direct engine)',
      parse: size({ min: '1MiB', max: '64GiB' }),
    }),
    maxInFlight: read('max-in-flight', {
      value: 'COUNT',
      fallback: '10000',
      help: 'open calls on all connections, except health and reflection; more end with RESOURCE_EXHAUSTED and a RetryInfo. On the direct engine a client below its share gets the place of a call of the client with the most',
      parse: integer(1, 1_000_000),
    }),
    maxConcurrentStreams: read('max-concurrent-streams', {
      value: 'COUNT',
      fallback: '1000',
      help: 'open calls on one connection (SETTINGS_MAX_CONCURRENT_STREAMS)',
      parse: integer(1, 1_000_000),
    }),
    maxResetsPerSecond: read('max-resets-per-second', {
      value: 'COUNT',
      fallback: '500',
      help: 'unfinished calls that a connection may reset a second, with a burst of twice as many, plus one for each response; beyond it the connection ends with ENHANCE_YOUR_CALM, against rapid reset (direct engine)',
      parse: integer(1, 1_000_000),
    }),
    maxControlFramesPerSecond: read('max-control-frames-per-second', {
      value: 'COUNT',
      fallback: '500',
      help: 'PING, SETTINGS and other frames that ask for no response, a second and connection, plus one for each frame of a call; beyond it the connection ends with ENHANCE_YOUR_CALM (direct engine)',
      parse: integer(1, 1_000_000),
    }),
    maxHeaderSize: read('max-header-size', {
      value: 'SIZE',
      fallback: '16KiB',
      help: 'largest list of request headers; a call with more ends with RESOURCE_EXHAUSTED (direct engine)',
      parse: size({ min: '1KiB', max: '256KiB' }),
    }),
    maxMessageSize: read('max-message-size', {
      value: 'SIZE',
      fallback: '4MiB',
      help: 'largest request message, after decompression',
      parse: size({ min: '1KiB', max: '1GiB' }),
    }),
    compressResponsesAbove: read('compress-responses-above', {
      value: 'SIZE',
      fallback: 'off',
      help: 'smallest response that is compressed, if the client accepts gzip or deflate; off: responses above 1KiB to requests that were compressed (direct engine)',
      parse: or('off', size({ min: '0', max: '1GiB' })),
    }),
    ...readGuideSettings(read),
  };
}

/** The value of every setting. Durations are milliseconds, sizes bytes. */
export type Config = Readonly<Omit<Settings, 'healthListen' | keyof ConnectionLimits>> &
  Readonly<ConnectionLimits> & {
    readonly healthListen: readonly Address[];
    /** Undefined when nobody asks for spans. */
    readonly tracing: TracingConfig | undefined;
  };

type Settings = ReturnType<typeof readSettings>;

/** A setting as people see it. */
export interface SettingRow {
  /** The flag's name, without dashes. */
  name: string;
  /** The environment variable's name. */
  env: string;
  value: string;
  fallback: string;
  help: string;
}

/** Every setting, in the order of the table. */
export function settingRows(): readonly SettingRow[] {
  const rows: SettingRow[] = [];
  readSettings((name, { value, fallback, help, parse }) => {
    rows.push({ name, env: envName(name), value, fallback, help });
    return parse(fallback);
  });
  return rows;
}

/** What a command line has wrong: every problem found, so that they are mended at once. */
export class UsageError extends Error {
  readonly problems: readonly string[];

  constructor(doing: string, problems: readonly string[]) {
    super(`Cannot ${doing}:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
    this.name = 'UsageError';
    this.problems = problems;
  }
}

/** What the settings are read from. */
export interface Sources {
  /** The flags given, by name without dashes; `true` for one that came without its value. */
  flags: Readonly<Record<string, string | true | undefined>>;
  env: Readonly<Record<string, string | undefined>>;
  /** Bytes that the process may have; undefined for enough. */
  memory?: number;
  /** What is known to be wrong already. */
  problems?: readonly string[];
  /** Told what is wrong and stops nothing. */
  complain?: (complaint: Complaint) => void;
}

/** Reads every setting: from its flag, or its variable, or its default. Throws a UsageError. */
export function loadConfig({ flags, env, memory, complain = () => {}, ...known }: Sources): Config {
  const found = [...(known.problems ?? [])];
  const broken = new Set<string>();
  const nameOf = nameAsGiven({ flags, env });
  const names: string[] = [];
  const settings = readSettings((name, { fallback, parse }) => {
    names.push(name);
    const flag = flags[name];
    const variable = env[envName(name)];
    const from = nameOf(name);
    const text = flag ?? (variable || fallback);
    try {
      if (text !== true) return parse(text);
      found.push(`${from}: needs a value`);
    } catch (error) {
      found.push(`${from} "${text}": ${messageOf(error)}`);
    }
    broken.add(name);
    return parse(fallback);
  });
  for (const complaint of unknownVariables(env, names)) complain(complaint);
  const healthListen = healthListenOf(settings);
  const config = {
    ...settings,
    ...connectionLimits({ ...settings, healthListen, memory }),
    healthListen,
    tracing: readTracing(env, complain),
  };
  const between = [
    ...overlapProblems(config, broken),
    ...tlsProblems(config, broken),
    ...limitProblems(config),
  ];
  found.push(...between.map((each) => withNames(each, nameOf)));
  if (found.length > 0) throw new UsageError('start with these settings', found);
  return config;
}

/**
 * The same with the names of hosts looked up: all that can be known of settings before they are used.
 * Rejects with a UsageError.
 */
export async function loadResolved(sources: Sources, lookup?: Lookup): Promise<Config> {
  const config = loadConfig(sources);
  const { problems, ...places } = await resolvePlaces(config, lookup);
  const named = problems.map((each) => withNames(each, nameAsGiven(sources)));
  if (named.length > 0) throw new UsageError('start with these settings', named);
  return { ...config, ...places };
}

/** With TLS, who probes in plaintext needs a port of its own. */
function healthListenOf({ healthListen, tlsCertFile }: Settings): readonly Address[] {
  if (healthListen !== 'auto') return healthListen;
  return tlsCertFile ? addresses(':50052') : [];
}

/** What is wrong with the settings of TLS that are right one by one. */
function tlsProblems(
  { tlsCertFile: cert, tlsKeyFile: key, tlsClientCaFile: ca }: Config,
  broken: ReadonlySet<string>,
) {
  if (broken.has('tls-cert-file') || broken.has('tls-key-file')) return [];
  const pair = `--tls-cert-file "${cert?.path}", --tls-key-file "${key?.path}"`;
  if (!cert !== !key) return ['--tls-cert-file, --tls-key-file: must be given together'];
  if (ca && !cert) return ['--tls-client-ca-file: needs --tls-cert-file and --tls-key-file'];
  return [
    ...(cert && key ? problem(pair, () => checkServerPair({ cert: cert.pem, key: key.pem })) : []),
    ...(ca
      ? problem(`--tls-client-ca-file "${ca.path}"`, () => checkClientAuthorities(ca.pem))
      : []),
  ];
}

function problem(about: string, check: () => unknown): string[] {
  try {
    check();
    return [];
  } catch (error) {
    return [`${about}: ${messageOf(error)}`];
  }
}

/** What limits must not be to each other. */
function limitProblems(config: Config): string[] {
  const { defaultDeadline = 0, engine, keepaliveTime, keepaliveTimeout, maxDeadline } = config;
  const problems: string[] = [];
  if (defaultDeadline > maxDeadline) {
    problems.push('--default-deadline: must be at most --max-deadline');
  }
  if (keepaliveTimeout > keepaliveTime) {
    problems.push('--keepalive-timeout: must be at most --keepalive-time');
  }
  const least = leastBufferedBytes(config);
  if (engine === 'direct' && config.maxBufferedBytes < least) {
    problems.push(
      `--max-buffered-bytes: must be at least ${least}, for two messages of --max-message-size: one in use, one on its way`,
    );
  }
  return problems;
}
