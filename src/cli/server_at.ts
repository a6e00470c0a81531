import { createClient } from 'nice-grpc';
import { HealthDefinition } from '../gen/grpc/health/v1/health.ts';
import { type ClientTls, dial } from '../transport/client.ts';

/** Whoever is on this machine answers in time, unless that is very busy. */
const patienceMs = 2000;

/**
 * Whether a greeter serves gRPC at this address, as far as it says so in time: its health has names that
 * those of other servers hardly have. Never rejects.
 */
export async function isServing(address: string, tls: ClientTls | undefined): Promise<boolean> {
  const channel = dial({ address, tls });
  try {
    const signal = AbortSignal.timeout(patienceMs);
    const { statuses } = await createClient(HealthDefinition, channel).list({}, { signal });
    return 'liveness' in statuses && 'readiness' in statuses;
  } catch {
    return false;
  } finally {
    channel.close();
  }
}

/** The same of its admin port; of a unix socket it is not known. */
export async function hasMetrics(address: string): Promise<boolean> {
  try {
    const signal = AbortSignal.timeout(patienceMs);
    const response = await fetch(`http://${address}/metrics`, { signal });
    return (await response.text()).includes('\ngreeter_build_info{');
  } catch {
    return false;
  }
}
