import type { Call } from '../context.ts';
import {
  HealthDefinition,
  type HealthServiceImplementation,
} from '../gen/grpc/health/v1/health.ts';
import { createEngine } from './engine.ts';
import type { Engine, Limits } from './engine_types.ts';
import { type ChainDeps, withChain } from './server.ts';

/** Probes are short and few. They have limits of their own: a server that is full still answers them. */
const limits: Limits = {
  maxConnections: 1000,
  maxBufferedBytes: 4 * 1024 * 1024,
  // A proxy may bring the watches of many on one connection, and a check must not wait behind them.
  maxConcurrentStreams: 1000,
  maxMessageSize: 4 * 1024,
};

/**
 * Builds a server of health alone, not yet listening, for who probes in plaintext: a kubelet knows no
 * TLS. It is the direct engine, whatever serves the rest.
 */
export async function buildHealthServer({
  health,
  onIncident,
  ...chain
}: ChainDeps & {
  health: HealthServiceImplementation<Call>;
  onIncident: Parameters<typeof createEngine>[2];
}): Promise<Engine<object>> {
  const server = withChain(await createEngine('direct', limits, onIncident), chain);
  server.add(HealthDefinition, health);
  return server;
}
