import type { Logger } from 'pino';
import type { Config } from '../config.ts';
import type { Tls } from '../transport/tls.ts';

/** Loads the configured certificate, if there is one; its modules are loaded only then. */
export async function openTls(config: Config, log: Logger): Promise<Tls | undefined> {
  const { tlsCertFile: cert, tlsKeyFile: key, tlsClientCaFile: clientCa } = config;
  if (!cert || !key) return undefined;
  const { createTls } = await import('../transport/tls.ts');
  return createTls({
    cert,
    key,
    clientCa,
    log,
    now: Date.now,
    every(work) {
      const timer = setInterval(() => void work(), config.tlsReloadInterval).unref();
      return () => clearInterval(timer);
    },
  });
}
