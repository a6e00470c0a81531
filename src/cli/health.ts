import { connectivityState } from '@grpc/grpc-js';
import { type Channel, ClientError, createClient, Metadata, waitForChannelReady } from 'nice-grpc';
import {
  HealthCheckResponse_ServingStatus as ServingStatus,
  HealthDefinition,
} from '../gen/grpc/health/v1/health.ts';
import { dial } from '../transport/client.ts';
import { connectFailure } from '../transport/connect_failure.ts';
import { messageOf } from '../message_of.ts';
import type { Command, Io } from './command.ts';
import { type FlagReader, readFlags } from './flags.ts';
import { formatGoDuration } from './go_duration.ts';
import { parsedOptions, type Probe, probeFlags, readProbe, readTls } from './health_probe.ts';
import { versionLine } from './version.ts';

/** The exit codes of grpc-health-probe (https://github.com/grpc-ecosystem/grpc-health-probe). */
const exit = { serving: 0, arguments: 1, connect: 2, rpc: 3, notServing: 4 } as const;

/** The maximum delay of a Node timer, in milliseconds. */
const maxTimer = 2 ** 31 - 1;

/** Never throws for network errors: they are exit codes. */
export const health: Command = {
  summary: 'Check the health of a server, as grpc-health-probe does',
  details:
    'It has the flags and exit codes of grpc-health-probe: it exits 0 if the server is SERVING, 1 for invalid arguments, 2 if it cannot connect, 3 if the call fails, and 4 if it answers another status. One dash is enough for each flag.',
  goFlags: true,
  flags: probeFlags,
  examples: [
    ['health --addr localhost:50051', 'Check the whole server'],
    ['health --addr localhost:50051 --service readiness', 'Check one service'],
    ['health --addr example.com:443 --tls --rpc-timeout 5s', 'Use TLS'],
    ["health --addr :50051 --rpc-header 'authorization: Bearer t0ken'", 'Send metadata'],
  ],
  async run(args, io) {
    const read = readFlags(args);
    const probe = readProbe(read);
    if (read.given('version') && read.problems.length === 0) {
      io.write(versionLine(io));
      return 0;
    }
    const tls = readTls(read, probe);
    const target = { ...probe, tls, env: io.env };
    const channel = read.problems.length === 0 && open(target, read.problems);
    if (!channel) {
      io.error(`Cannot check health:\n${read.problems.map((each) => `  ${each}`).join('\n')}`);
      return exit.arguments;
    }
    if (args.operands.length > 0) {
      io.error(`Ignoring ${args.operands.join(' ')}: flags end where something else comes first`);
    }
    try {
      return await ask(channel, target, { io, say: read.given('v') ? io.error : () => {}, read });
    } finally {
      channel.close();
    }
  },
};

function open(probe: Probe, problems: string[]): Channel | undefined {
  try {
    return dial(probe);
  } catch (error) {
    problems.push(`"${probe.address}": ${messageOf(error)}`);
    return undefined;
  }
}

interface AskDeps {
  io: Io;
  /** Receives the lines that only `-v` shows. */
  say: (line: string) => void;
  read: FlagReader;
}

async function ask(channel: Channel, probe: Probe, { io, say, read }: AskDeps): Promise<number> {
  const { address, service } = probe;
  const connectTimeout = Math.min(Math.ceil(probe.connectTimeout), maxTimer);
  const rpcTimeout = Math.min(Math.ceil(probe.rpcTimeout), maxTimer);
  for (const line of parsedOptions(read, probe)) say(line);
  say('establishing connection');
  const connected = stopwatch();
  try {
    await waitForChannelReady(channel, new Date(Date.now() + connectTimeout));
  } catch {
    const why = await whyUnconnected(channel, probe);
    io.error(`Cannot connect to ${address} within ${connectTimeout} ms: ${why}`);
    return exit.connect;
  }
  const connectTook = connected();
  say(`connection established (took ${connectTook})`);

  const answered = stopwatch();
  const signal = AbortSignal.timeout(rpcTimeout);
  try {
    const metadata = metadataOf(probe, rpcTimeout);
    const client = createClient(HealthDefinition, channel);
    const { status } = await client.check({ service }, { metadata, signal });
    if (status === ServingStatus.SERVING) {
      say(`time elapsed: connect=${connectTook} rpc=${answered()}`);
      io.write('status: SERVING\n');
      return exit.serving;
    }
    const [name] = Object.entries(ServingStatus).find(([, value]) => value === status) ?? [status];
    io.error(`status: ${name}`);
    return exit.notServing;
  } catch (cause) {
    if (signal.aborted) io.error(`Cannot check health at ${address} within ${rpcTimeout} ms`);
    else if (cause instanceof ClientError) io.error(`Cannot check health: ${cause.message}`);
    // The metadata cannot be sent.
    else io.error(`Cannot check health: ${messageOf(cause)}`);
    return exit.rpc;
  }
}

/** A channel does not report why it cannot connect, but a call without wait-for-ready does. */
async function whyUnconnected(channel: Channel, probe: Probe): Promise<string> {
  const unanswered = 'no answer';
  if (channel.getConnectivityState(false) !== connectivityState.TRANSIENT_FAILURE) {
    return unanswered;
  }
  try {
    const signal = AbortSignal.timeout(100);
    await createClient(HealthDefinition, channel).check({ service: probe.service }, { signal });
    return unanswered;
  } catch (cause) {
    const details = cause instanceof ClientError ? cause.details : '';
    return connectFailure(details, probe) ?? unanswered;
  }
}

function stopwatch(): () => string {
  const start = performance.now();
  return () => formatGoDuration(performance.now() - start);
}

/** Metadata that grpc-go ignores. */
const reserved: ReadonlySet<string> = new Set([
  'content-type',
  'user-agent',
  'grpc-message-type',
  'grpc-encoding',
  'grpc-message',
  'grpc-status',
  'grpc-timeout',
  'te',
]);

/** Throws for metadata that cannot be sent. */
function metadataOf({ headers }: Probe, rpcTimeout: number): Metadata {
  // `grpc-timeout` has at most eight digits.
  const metadata = Metadata({ 'grpc-timeout': `${Math.min(rpcTimeout, 99_999_999)}m` });
  for (const [name, value] of headers) {
    if (reserved.has(name)) continue;
    metadata.append(name, name.endsWith('-bin') ? Buffer.from(value) : value);
  }
  return metadata;
}
