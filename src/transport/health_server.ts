import { HealthDefinition } from '../gen/grpc/health/v1/health.ts';
import { exemptIn } from './catalogue.ts';
import { createEngine, type EngineOptions } from './engine.ts';
import type { Engine, Limits } from './engine_types.ts';
import { buildServer } from './server.ts';

/** Probes are short and few. They have limits of their own, so that a full server still answers them. */
const ownLimits = {
  maxConnections: 1000,
  maxBufferedBytes: 4 * 1024 * 1024,
  // A proxy may multiplex the watches of many clients on one connection, and must not delay checks.
  maxConcurrentStreams: 1000,
  maxMessageSize: 4 * 1024,
  maxInFlight: Number.POSITIVE_INFINITY,
  maxConnectionAge: Number.POSITIVE_INFINITY,
  compressResponsesAbove: undefined,
};

/**
 * Builds a server with the health service only, for plaintext probes, as a kubelet does not use TLS. It always uses
 * the direct engine.
 */
export async function buildHealthServer<Deps>({
  limits,
  onIncident,
  ...served
}: Parameters<typeof buildServer<Deps>>[1] &
  Pick<EngineOptions, 'onIncident'> & {
    /** Those of the other server: it has them where these are no others. */
    limits: Limits;
  }): Promise<Engine<object>> {
  const services = served.services.filter(({ definition }) => definition === HealthDefinition);
  const engine = await createEngine(
    'direct',
    { ...limits, ...ownLimits },
    { onIncident, exempt: exemptIn(services) },
  );
  return buildServer(engine, { ...served, services });
}
