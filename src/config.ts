import { checkClientAuthorities, checkServerPair } from './certificates.ts';
import { accessLog } from './config/access_log.ts';
import type { Address } from './address.ts';
import { addresses, addressesOrNone } from './config/addresses.ts';
import { corsOrigins } from './config/cors_origins.ts';
import { placeHeaders } from './config/identity.ts';
import { type Lookup, overlapProblems, resolvePlaces } from './config/listening.ts';
import { type ConnectionLimits, connectionLimits, leastBufferedBytes } from './config/memory.ts';
import { envName, nameAsGiven, withNames } from './config/names.ts';
import { duration, integer, onOff, oneOf, orForever, or, pemFile, size } from './config/parse.ts';
import type { Read } from './config/setting.ts';
import { type Complaint, readTracing } from './config/tracing.ts';
import type { TracingSettings } from './observability/trace.ts';
import { unknownVariables } from './config/unknown_variables.ts';
import { readFaultSettings } from './faults/settings.ts';
import { messageOf } from './message_of.ts';
import { readGuideSettings } from './services/guides/settings.ts';
import { readInteropSettings } from './services/interop/settings.ts';

/**
 * All settings. The flag `--drain-timeout` is the variable GREETER_DRAIN_TIMEOUT. `--help`, `check-config` and
 * docs/settings.md are generated from this table.
 */
function readSettings(read: Read) {
  return {
    listen: read('listen', {
      value: 'ADDRESSES',
      fallback: ':50051,:9999',
      help: 'addresses to serve gRPC on: :PORT for all interfaces, HOST:PORT, [V6]:PORT or unix:PATH',
      parse: addresses,
    }),
    healthListen: read('health-listen', {
      value: 'ADDRESSES',
      fallback: 'auto',
      help: 'addresses of a plaintext server for health checks alone; auto is :50052 with TLS, otherwise off',
      parse: addressesOrNone,
    }),
    adminListen: read('admin-listen', {
      value: 'ADDRESSES',
      fallback: ':9464',
      help: 'addresses for /metrics, /livez and /readyz over HTTP/1.1, or off',
      parse: or('off', addresses),
    }),
    engine: read('engine', {
      value: 'NAME',
      fallback: 'direct',
      help: 'gRPC server: direct (the built-in engine) or grpc-js',
      parse: oneOf('direct', 'grpc-js'),
    }),
    ...readInteropSettings(read),
    ...readFaultSettings(read),
    loadReports: read('load-reports', {
      value: 'on|off',
      fallback: 'off',
      help: 'reports the load to clients (ORCA)',
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
      help: 'certificate authorities for client certificates, in PEM; enables mutual TLS',
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
      help: 'debug, info, warn or error',
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
      help: 'calls to log: all, errors, off, or 1/N for errors and a random one in N of the others',
      parse: accessLog,
    }),
    corsOrigins: read('cors-origins', {
      value: 'off|*|LIST',
      fallback: 'off',
      help: 'origins whose pages may make calls: off, * for any, or a comma-separated list (direct engine)',
      parse: corsOrigins,
    }),
    identity: read('identity', {
      value: 'on|off',
      fallback: 'on',
      help: 'adds response headers that name the server: x-greeter-host, x-greeter-version, and on Kubernetes its pod',
      parse: onOff,
    }),
    shutdownDelay: read('shutdown-delay', {
      value: 'DURATION',
      fallback: '0s',
      help: 'time after SIGTERM in which new connections and calls are accepted; health reports NOT_SERVING',
      parse: duration({ min: '0s' }),
    }),
    drainTimeout: read('drain-timeout', {
      value: 'DURATION',
      fallback: '20s',
      help: 'time for open calls to finish at shutdown',
      parse: duration({ min: '0s' }),
    }),
    defaultDeadline: read('default-deadline', {
      value: 'DURATION',
      fallback: 'none',
      help: 'deadline of a call whose client sets no deadline, or none',
      parse: or('none', duration({ min: '1ms', max: '87600h' })),
    }),
    maxDeadline: read('max-deadline', {
      value: 'DURATION',
      fallback: '1h',
      help: 'longest deadline that a client can set; longer ones are shortened',
      parse: duration({ min: '1ms', max: '87600h' }),
    }),
    maxConnections: read('max-connections', {
      value: 'COUNT',
      fallback: 'auto',
      help: 'open connections; auto depends on the memory limit (direct engine)',
      parse: or('auto', integer(1, 1_000_000)),
    }),
    maxHandshakes: read('max-handshakes', {
      value: 'COUNT',
      fallback: 'auto',
      help: 'TLS handshakes in progress; auto depends on the memory limit (direct engine)',
      parse: or('auto', integer(1, 1_000_000)),
    }),
    maxConnectionAge: read('max-connection-age', {
      value: 'DURATION',
      fallback: '5m',
      help: 'age at which a connection gets GOAWAY, with 0 to 10 % of jitter, or none',
      parse: orForever(duration({ min: '1s' })),
    }),
    maxConnectionAgeGrace: read('max-connection-age-grace', {
      value: 'DURATION',
      fallback: '20s',
      help: 'time for the calls of such a connection to finish, or none for no limit',
      parse: orForever(duration({ min: '0s' })),
    }),
    idleTimeout: read('idle-timeout', {
      value: 'DURATION',
      fallback: '5m',
      help: 'time without calls after which a connection gets GOAWAY, or none',
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
      help: 'time to wait for the answer to that PING; at most --keepalive-time',
      parse: duration({ min: '1s' }),
    }),
    maxBufferedBytes: read('max-buffered-bytes', {
      value: 'SIZE',
      fallback: '64MiB',
      help: 'memory for messages, headers and output of all connections (direct engine)',
      parse: size({ min: '1MiB', max: '64GiB' }),
    }),
    maxInFlight: read('max-in-flight', {
      value: 'COUNT',
      fallback: '10000',
      help: 'open calls on all connections, except health and reflection',
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
      help: 'unfinished calls that a connection may reset each second (direct engine)',
      parse: integer(1, 1_000_000),
    }),
    maxControlFramesPerSecond: read('max-control-frames-per-second', {
      value: 'COUNT',
      fallback: '500',
      help: 'PING, SETTINGS and other control frames that a connection may send each second (direct engine)',
      parse: integer(1, 1_000_000),
    }),
    maxHeaderSize: read('max-header-size', {
      value: 'SIZE',
      fallback: '16KiB',
      help: 'largest list of request headers (direct engine)',
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
      help: 'size above which responses are compressed; off: above 1 KiB, only if the request was (direct engine)',
      parse: or('off', size({ min: '0', max: '1GiB' })),
    }),
    ...readGuideSettings(read),
  };
}

/** The values of all settings. Durations are in milliseconds, sizes in bytes. */
export type Config = Readonly<Omit<Settings, 'healthListen' | keyof ConnectionLimits>> &
  Readonly<ConnectionLimits> & {
    readonly healthListen: readonly Address[];
    /** Response headers that tell where the server runs: names and values, alternating. */
    readonly place: readonly string[];
    /** Undefined if tracing is disabled. */
    readonly tracing: TracingSettings | undefined;
  };

type Settings = ReturnType<typeof readSettings>;

/** A setting as documented. */
export interface SettingRow {
  /** The flag's name, without dashes. */
  name: string;
  /** The environment variable's name. */
  env: string;
  value: string;
  fallback: string;
  help: string;
}

/** All settings, in order. */
export function settingRows(): readonly SettingRow[] {
  const rows: SettingRow[] = [];
  readSettings((name, { value, fallback, help, parse }) => {
    rows.push({ name, env: envName(name), value, fallback, help });
    return parse(fallback);
  });
  return rows;
}

/** All errors of a command line, so that they can be fixed at once. */
export class UsageError extends Error {
  readonly problems: readonly string[];

  constructor(doing: string, problems: readonly string[]) {
    super(`Cannot ${doing}:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
    this.name = 'UsageError';
    this.problems = problems;
  }
}

/** The sources of settings. */
export interface Sources {
  /** The flags given, by name without dashes; `true` for a flag without a value. */
  flags: Readonly<Record<string, string | true | undefined>>;
  env: Readonly<Record<string, string | undefined>>;
  /** Bytes of memory available to the process; undefined for enough. */
  memory?: number;
  /** Errors found by the command line parser. */
  problems?: readonly string[];
  /** Called for warnings. */
  complain?: (complaint: Complaint) => void;
}

/** Reads every setting from its flag, else its variable, else its default. Throws a UsageError. */
export function loadConfig({ flags, env, memory, complain = () => {}, ...known }: Sources): Config {
  const found = [...(known.problems ?? [])];
  const invalid = new Set<string>();
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
    invalid.add(name);
    return parse(fallback);
  });
  for (const complaint of unknownVariables(env, names)) complain(complaint);
  const healthListen = healthListenOf(settings);
  const config = {
    ...settings,
    ...connectionLimits({ ...settings, healthListen, memory }),
    healthListen,
    place: placeHeaders(env),
    tracing: readTracing(env, complain),
  };
  const between = [
    ...overlapProblems(config, invalid),
    ...tlsProblems(config, invalid),
    ...limitProblems(config),
  ];
  found.push(...between.map((each) => withNames(each, nameOf)));
  if (found.length > 0) throw new UsageError('start with these settings', found);
  return config;
}

/** Reads settings and resolves hostnames, to find all errors before they are used. Rejects with a UsageError. */
export async function loadResolved(sources: Sources, lookup?: Lookup): Promise<Config> {
  const config = loadConfig(sources);
  const { problems, ...places } = await resolvePlaces(config, lookup);
  const named = problems.map((each) => withNames(each, nameAsGiven(sources)));
  if (named.length > 0) throw new UsageError('start with these settings', named);
  return { ...config, ...places };
}

/** With TLS, plaintext probes need a port of their own. */
function healthListenOf({ healthListen, tlsCertFile }: Settings): readonly Address[] {
  if (healthListen !== 'auto') return healthListen;
  return tlsCertFile ? addresses(':50052') : [];
}

/** Errors of TLS settings that are valid individually. */
function tlsProblems(
  { tlsCertFile: cert, tlsKeyFile: key, tlsClientCaFile: ca }: Config,
  invalid: ReadonlySet<string>,
) {
  if (invalid.has('tls-cert-file') || invalid.has('tls-key-file')) return [];
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

/** Conflicts between limits. */
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
