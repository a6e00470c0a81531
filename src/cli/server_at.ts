import { createClient } from 'nice-grpc';
import { HealthDefinition } from '../gen/grpc/health/v1/health.ts';
import { type ClientTls, dial } from '../transport/client.ts';

/** Milliseconds to wait: a local server answers in time, unless the machine is very busy. */
const timeoutMs = 2000;

/**
 * True if a greeter serves gRPC at this address, judging by the names that its health service knows. Never rejects.
 */
export async function isServing(address: string, tls: ClientTls | undefined): Promise<boolean> {
  const channel = dial({ address, tls });
  try {
    const signal = AbortSignal.timeout(timeoutMs);
    const { statuses } = await createClient(HealthDefinition, channel).list({}, { signal });
    return 'liveness' in statuses && 'readiness' in statuses;
  } catch {
    return false;
  } finally {
    channel.close();
  }
}

/** True if a greeter's admin port is at this address; false for a unix socket. Never rejects. */
export async function hasMetrics(address: string): Promise<boolean> {
  try {
    const signal = AbortSignal.timeout(timeoutMs);
    const response = await fetch(`http://${address}/metrics`, { signal });
    return (await response.text()).includes('\ngreeter_build_info{');
  } catch {
    return false;
  }
}
