import type { Config } from '../config.ts';
import { nameAsGiven } from '../config/names.ts';
import { ListenError } from '../transport/listen.ts';
import type { Args, Io } from './command.ts';
import { callable } from './start_lines.ts';

interface Start extends Pick<Args, 'flags'>, Pick<Io, 'env'> {
  config: Pick<Config, 'listen' | 'healthListen' | 'adminListen' | 'tlsCertFile'>;
}

/**
 * Explains why the server did not start. For an address in use, it adds whether another greeter listens there and
 * which setting changes the address. Never rejects.
 */
export async function explainInUse(error: unknown, { config, ...given }: Start): Promise<unknown> {
  if (!(error instanceof ListenError) || !error.isInUse) return error;
  const settings = [
    ['listen', config.listen],
    ['health-listen', config.healthListen],
    ['admin-listen', config.adminListen ?? []],
  ] as const;
  for (const [setting, addresses] of settings) {
    const place = addresses.find(({ text }) => text === error.address);
    if (!place) continue;
    const port = 'port' in place ? place.port : undefined;
    const address = callable({ address: place.text, port });
    // Loaded here, as no other part of `serve` needs a client.
    const { hasMetrics, isServing } = await import('./server_at.ts');
    // A server that speaks another protocol is not a greeter, and would log the attempt.
    const tls = setting === 'listen' && config.tlsCertFile ? { noVerify: true } : undefined;
    const isGreeter = await (setting === 'admin-listen'
      ? hasMetrics(address)
      : isServing(address, tls));
    const by = isGreeter ? ' by another greeter' : '';
    const hint = `${by}; ${nameAsGiven(given)(setting)} sets another address`;
    return new ListenError(error.address, error.cause, hint);
  }
  return error;
}
