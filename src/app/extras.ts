import type { Config } from '../config.ts';
import type { Extra } from '../transport/catalogue.ts';
import type { Host } from './admin.ts';

/** The services that this server has because of its settings; what they take is loaded only then. */
export async function openExtras(config: Config, host: Host): Promise<readonly Extra[]> {
  if (!config.interop) return [];
  const { createInterop } = await import('./interop.ts');
  const { maxMessageSize } = config;
  const serverId = `${host.hostname}-${Math.round(host.figures.startedAt * 1000).toString(36)}`;
  return createInterop({ maxMessageSize, hostname: host.hostname, serverId });
}
