import { type Channel, ClientError, createClient, Metadata, waitForChannelReady } from 'nice-grpc';
import {
  HealthCheckResponse_ServingStatus as ServingStatus,
  HealthDefinition,
} from '../gen/grpc/health/v1/health.ts';
import { dial } from '../transport/client.ts';
import { messageOf } from '../message_of.ts';
import type { Command, Io } from './command.ts';
import { readFlags } from './flags.ts';
import { type Probe, probeFlags, readProbe } from './health_probe.ts';

/** The exit codes of grpc-health-probe (https://github.com/grpc-ecosystem/grpc-health-probe). */
const exit = { serving: 0, arguments: 1, connect: 2, rpc: 3, notServing: 4 } as const;

/** Never throws for what the network does: the exit code says it. */
export const health: Command = {
  summary: 'Ask a server for its health, with the flags and exit codes of grpc-health-probe',
  goFlags: true,
  flags: probeFlags,
  examples: [
    ['health -addr localhost:50051', 'Exit 0 when the server is SERVING, 4 when it is not'],
    ['health -addr localhost:50051 -service readiness', 'Ask for one service'],
    ['health -addr example.com:443 -tls -rpc-timeout 5s', 'Through TLS'],
  ],
  async run(args, io) {
    const read = readFlags(args);
    const probe = readProbe(read);
    const channel = read.problems.length === 0 && open(probe, read.problems);
    if (!channel) {
      io.error(`Cannot ask for health:\n${read.problems.map((each) => `  ${each}`).join('\n')}`);
      return exit.arguments;
    }
    try {
      return await ask(channel, probe, io);
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

async function ask(channel: Channel, probe: Probe, { write, error }: Io): Promise<number> {
  const { address, service, connectTimeout, rpcTimeout } = probe;
  try {
    await waitForChannelReady(channel, new Date(Date.now() + connectTimeout));
  } catch {
    error(`Cannot connect to ${address} within ${connectTimeout} ms`);
    return exit.connect;
  }
  // The header has eight digits at most.
  const metadata = Metadata({ 'grpc-timeout': `${Math.min(rpcTimeout, 99_999_999)}m` });
  const signal = AbortSignal.timeout(rpcTimeout);
  try {
    const client = createClient(HealthDefinition, channel);
    const { status } = await client.check({ service }, { metadata, signal });
    if (status === ServingStatus.SERVING) {
      write('status: SERVING\n');
      return exit.serving;
    }
    const [name] = Object.entries(ServingStatus).find(([, value]) => value === status) ?? [status];
    error(`status: ${name}`);
    return exit.notServing;
  } catch (cause) {
    if (signal.aborted) error(`Cannot check health at ${address} within ${rpcTimeout} ms`);
    else if (cause instanceof ClientError) error(`Cannot check health: ${cause.message}`);
    else throw cause;
    return exit.rpc;
  }
}
