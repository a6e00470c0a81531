import { checkClientAuthorities, checkServerPair } from './certificates.ts';
import { accessLog } from './config/access_log.ts';
import { type Address, addresses, addressesOrNone } from './config/addresses.ts';
import { type Lookup, overlapProblems, resolvePlaces } from './config/listening.ts';
import { type ConnectionLimits, connectionLimits, leastBufferedBytes } from './config/memory.ts';
import { envName, nameAsGiven, withNames } from './config/names.ts';
import {
  duration,
  integer,
  onOff,
  oneOf,
  orForever,
  or,
  type Parse,
  pemFile,
  size,
} from './config/parse.ts';
import { type Complaint, readTracing, type TracingConfig } from './config/tracing.ts';
import { messageOf } from './message_of.ts';

/**
 * Every setting. A flag `--drain-timeout` is also the variable GREETER_DRAIN_TIMEOUT.
 * `--help`, `check-config` and the README's table are made from this table.
 */
function readSettings(read: Read) {
  return {
    listen: read('listen', {
      value: 'ADDRESSES',
      fallback: ':50051,:9999',
      help: 'where to serve: :PORT on all interfaces, HOST:PORT on every address of the host, [V6]:PORT or unix:PATH; port 0 takes a free one',
      parse: addresses,
    }),
    healthListen: read('health-listen', {
      value: 'ADDRESSES',
      fallback: 'auto',
      help: 'where to serve health alone, in plaintext, for probes: as in listen, or off; auto is :50052 with TLS, else off',
      parse: addressesOrNone,
    }),
    adminListen: read('admin-listen', {
      value: 'ADDRESSES',
      fallback: ':9464',
      help: 'where to answer /metrics, /livez and /readyz over HTTP/1.1, written as in --listen; or off',
      parse: or('off', addresses),
    }),
    engine: read('engine', {
      value: 'NAME',
      fallback: 'direct',
      help: 'what serves gRPC: direct (our own, on the socket) or grpc-js; docs/engines.md has the differences',
      parse: oneOf('direct', 'grpc-js'),
    }),
    interop: read('interop', {
      value: 'on|off',
      fallback: 'on',
      help: "whether gRPC's own interop tests are served: grpc.testing.TestService, and the load reports they ask for",
      parse: onOff,
    }),
    loadReports: read('load-reports', {
      value: 'on|off',
      fallback: 'off',
      help: 'whether clients are told how busy the server is (ORCA): in the trailers of each call, and by OpenRcaService',
      parse: onOff,
    }),
    tlsCertFile: read('tls-cert-file', {
      value: 'FILE',
      fallback: 'off',
      help: 'the certificate to serve with, and what it is signed by, in PEM; TLS on every address',
      parse: pemFile,
    }),
    tlsKeyFile: read('tls-key-file', {
      value: 'FILE',
      fallback: 'off',
      help: 'the private key of that certificate, in PEM',
      parse: pemFile,
    }),
    tlsClientCaFile: read('tls-client-ca-file', {
      value: 'FILE',
      fallback: 'off',
      help: "who signs the clients' certificates: with it, only clients that have one are served, and no TLS session is resumed",
      parse: pemFile,
    }),
    tlsReloadInterval: read('tls-reload-interval', {
      value: 'DURATION',
      fallback: '10s',
      help: 'how often to look whether the files of TLS have changed (direct engine)',
      parse: duration({ min: '1s' }),
    }),
    logLevel: read('log-level', {
      value: 'LEVEL',
      fallback: 'info',
      help: 'debug, info, warn or error; the line of a call that we did not break is info',
      parse: oneOf('debug', 'info', 'warn', 'error'),
    }),
    logFormat: read('log-format', {
      value: 'FORMAT',
      fallback: 'auto',
      help: 'json, human, or auto: human in a terminal, json elsewhere',
      parse: oneOf('auto', 'json', 'human'),
    }),
    accessLog: read('access-log', {
      value: 'all|errors|off|1/N',
      fallback: 'all',
      help: 'which calls have a line in the log: all, those that did not end OK, or 1/N: those and one in N of the others, by chance; what we broke has one even with off. Metrics and spans count every call',
      parse: accessLog,
    }),
    leaveDelay: read('leave-delay', {
      value: 'DURATION',
      fallback: '0s',
      help: 'after SIGTERM, how long to go on serving while health says NOT_SERVING; at its beginning, clients that are connected get GOAWAY and look for other servers (direct engine)',
      parse: duration({ min: '0s' }),
    }),
    drainTimeout: read('drain-timeout', {
      value: 'DURATION',
      fallback: '20s',
      help: 'then, how long open calls may take to end before they are cut',
      parse: duration({ min: '0s' }),
    }),
    defaultDeadline: read('default-deadline', {
      value: 'DURATION',
      fallback: 'none',
      help: 'the deadline of calls that bring none',
      parse: or('none', duration({ min: '1ms', max: '87600h' })),
    }),
    maxDeadline: read('max-deadline', {
      value: 'DURATION',
      fallback: '1h',
      help: 'the longest deadline a call can have; a longer one is shortened to it',
      parse: duration({ min: '1ms', max: '87600h' }),
    }),
    maxConnections: read('max-connections', {
      value: 'COUNT',
      fallback: 'auto',
      help: 'how many connections can be open; for one more an idle one goes, of the address that has most, or it is closed as it comes; auto is what the memory there is can bear beside --max-buffered-bytes, at most 15000 (direct engine)',
      parse: or('auto', integer(1, 1_000_000)),
    }),
    maxHandshakes: read('max-handshakes', {
      value: 'COUNT',
      fallback: 'auto',
      help: 'how many TLS handshakes can be under way; others wait, 4 times as many (32 with a client CA), and take the place of one over 1 s; each has 10 s; auto is what the memory there is can bear, at most 256 (direct engine)',
      parse: or('auto', integer(1, 1_000_000)),
    }),
    maxConnectionAge: read('max-connection-age', {
      value: 'DURATION',
      fallback: '5m',
      help: 'a connection this old, and up to a tenth more, is told to make place for another: its calls go on, new ones go elsewhere',
      parse: orForever(duration({ min: '1s' })),
    }),
    maxConnectionAgeGrace: read('max-connection-age-grace', {
      value: 'DURATION',
      fallback: '20s',
      help: 'then, how long its calls may take to end before they are cut with UNAVAILABLE',
      parse: orForever(duration({ min: '0s' })),
    }),
    idleTimeout: read('idle-timeout', {
      value: 'DURATION',
      fallback: '5m',
      help: 'a connection is left after so long without a call, whatever PINGs come',
      parse: orForever(duration({ min: '1s' })),
    }),
    keepaliveTime: read('keepalive-time', {
      value: 'DURATION',
      fallback: '60s',
      help: 'a client that is silent so long is asked whether it is there',
      parse: duration({ min: '1s' }),
    }),
    keepaliveTimeout: read('keepalive-timeout', {
      value: 'DURATION',
      fallback: '20s',
      help: 'then, how long it may take to answer; at most --keepalive-time',
      parse: duration({ min: '1s' }),
    }),
    maxBufferedBytes: read('max-buffered-bytes', {
      value: 'SIZE',
      fallback: '64MiB',
      help: 'bytes of messages, headers and output that all connections together may hold; a large message waits until there is room for it, and clients with more than their share are paused, refused or end RESOURCE_EXHAUSTED; at least twice --max-message-size and some KiB (direct engine)',
      parse: size({ min: '1MiB', max: '64GiB' }),
    }),
    maxInFlight: read('max-in-flight', {
      value: 'COUNT',
      fallback: '10000',
      help: 'how many calls can be open on all connections together, health and reflection aside; more end RESOURCE_EXHAUSTED, and are told when to try again; on the direct engine a client with less than its share takes the place of a call of the one with the most',
      parse: integer(1, 1_000_000),
    }),
    maxConcurrentStreams: read('max-concurrent-streams', {
      value: 'COUNT',
      fallback: '1000',
      help: 'how many calls can be open on one connection',
      parse: integer(1, 1_000_000),
    }),
    maxResetsPerSecond: read('max-resets-per-second', {
      value: 'COUNT',
      fallback: '500',
      help: 'how many unfinished calls a connection may reset a second, twice as many at once, and one more for each response; more end it with ENHANCE_YOUR_CALM: protects from rapid reset (direct engine)',
      parse: integer(1, 1_000_000),
    }),
    maxControlFramesPerSecond: read('max-control-frames-per-second', {
      value: 'COUNT',
      fallback: '500',
      help: 'the same for PING, SETTINGS and other frames that ask for no response, beyond one for each frame of a call: protects from floods of them (direct engine)',
      parse: integer(1, 1_000_000),
    }),
    maxHeaderSize: read('max-header-size', {
      value: 'SIZE',
      fallback: '16KiB',
      help: 'the largest list of request headers; a call with more ends RESOURCE_EXHAUSTED (direct engine)',
      parse: size({ min: '1KiB', max: '256KiB' }),
    }),
    maxMessageSize: read('max-message-size', {
      value: 'SIZE',
      fallback: '4MiB',
      help: 'the largest request message',
      parse: size({ min: '1KiB', max: '1GiB' }),
    }),
    compressResponsesAbove: read('compress-responses-above', {
      value: 'SIZE',
      fallback: 'off',
      help: 'responses of more bytes are compressed, where the client takes gzip or deflate; off: those of more than 1KiB whose request was (direct engine)',
      parse: or('off', size({ min: '0', max: '1GiB' })),
    }),
    parrotInterval: read('parrot-interval', {
      value: 'DURATION',
      fallback: '3s',
      help: 'the pause after each reply of greet.Greeter/ParrotSayHello and ParrotSaysHello',
      parse: duration({ min: '0s' }),
    }),
  };
}

interface Setting<T> {
  /** A word for the value in `--help`. */
  value: string;
  /** The default, as a user would write it. */
  fallback: string;
  help: string;
  parse: Parse<T>;
}

type Read = <T>(name: string, setting: Setting<T>) => T;

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
  const settings = readSettings((name, { fallback, parse }) => {
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
