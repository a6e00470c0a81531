import type { Config } from '../config.ts';
import { nameAsGiven } from '../config/names.ts';
import { ListenError } from '../transport/listen.ts';
import type { Args, Io } from './command.ts';
import { callable } from './start_lines.ts';

interface Start extends Pick<Args, 'flags'>, Pick<Io, 'env'> {
  config: Pick<Config, 'listen' | 'healthListen' | 'adminListen' | 'tlsCertFile'>;
}

/**
 * What a start has failed with. Of an address that is in use it also says whether another greeter has it,
 * and which setting, as it was given, takes another one. Never rejects.
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
    // What a client takes is loaded by nobody else.
    const { hasMetrics, isServing } = await import('./server_at.ts');
    // What speaks otherwise than we would have it is another's, and would log that we do not.
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
