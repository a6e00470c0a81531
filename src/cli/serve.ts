import { type App, startApp } from '../app.ts';
import { type Config, loadResolved, settingRows } from '../config.ts';
import type { Complaint } from '../config/tracing.ts';
import { heedSignals, type Signals, stop, surviveStrays } from '../lifecycle.ts';
import type { Bound } from '../transport/listen.ts';
import type { Command, Flag } from './command.ts';
import { shellWord } from './shell.ts';
import { reportStartError } from './start_error.ts';

/** The flags of every setting. */
export const settingFlags: readonly Flag[] = settingRows().map((row) => ({
  name: row.name,
  value: row.value,
  help: `${row.help} (default "${row.fallback}", env ${row.env})`,
}));

/** Exits 0 when every call ended by itself, 1 when calls were cut or no address could be had. */
export const serve: Command = {
  summary: 'Serve until SIGTERM',
  flags: settingFlags,
  examples: [
    ['serve', 'Serve everything on ports 50051 and 9999'],
    ['serve --listen 127.0.0.1:0 --log-format json', 'Take a free port of this machine alone'],
    ['serve --shutdown-delay 5s --drain-timeout 30s', 'Leave slowly, behind a load balancer'],
  ],
  async run(args, io) {
    const complaints: Complaint[] = [];
    const complain = (complaint: Complaint) => void complaints.push(complaint);
    let config: Config;
    let signals: Signals;
    let app: App;
    try {
      config = await loadResolved({
        ...args,
        env: io.env,
        memory: io.capacity().memory,
        complain,
      });
      signals = heedSignals(io);
      app = await startApp(config, io);
    } catch (error) {
      return reportStartError(error, args, io);
    }
    signals.attach(app);
    surviveStrays(app.log);
    for (const { level, message, reason } of complaints) app.log[level]({ reason }, message);
    const serving = { version: io.version, services: app.services };
    app.log.info({ ...serving, try: hint({ app, config, program: io.program }) }, 'serving');
    app.log.flush();
    await signals.stopped;
    return (await stop(app, config)) ? 0 : 1;
  },
};

/** A first call to make, as it may be typed; none where the caller needs a certificate of its own. */
function hint({ app, config, program }: { app: App; config: Config; program: string }) {
  const [first] = app.bound;
  const address = first && callable(first);
  // The guides' clients know no TLS.
  if (config.tlsClientCaFile || address === undefined) return undefined;
  const addr = `--addr ${shellWord(address)}`;
  if (config.tlsCertFile) return `${program} health ${addr} --tls --tls-no-verify`;
  const isTheirs = address === 'localhost:50051';
  return `${program} guide hello${isTheirs ? '' : ` ${addr}`}`;
}

/** Where it can be called from this machine: one address alone is no other's, another's may be on the same port. */
function callable({ address, port }: Bound): string {
  if (port === undefined) return address;
  const host = address.replace(/:\d+$/, '');
  if (host === '' || host === '[::]') return `localhost:${port}`;
  return `${host === '0.0.0.0' ? '127.0.0.1' : host}:${port}`;
}
