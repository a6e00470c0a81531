import { type App, startApp } from '../app.ts';
import { loadConfig, settingRows } from '../config.ts';
import { stop, stopSignal } from '../lifecycle.ts';
import { ListenError } from '../transport/listen.ts';
import type { Command, Flag } from './command.ts';

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
    ['serve --leave-delay 5s --drain-timeout 30s', 'Leave slowly, behind a load balancer'],
  ],
  async run(args, io) {
    const config = loadConfig({ ...args, env: io.env });
    const stopped = stopSignal();
    let app: App;
    try {
      app = await startApp(config, io);
    } catch (error) {
      if (!(error instanceof ListenError)) throw error;
      io.error(error.message);
      return 1;
    }
    const tryThis = `${io.program} guide hello${addressFlag(app)}`;
    app.log.info({ version: io.version, services: app.services, try: tryThis }, 'serving');
    app.log.flush();
    await stopped;
    return (await stop(app, config)) ? 0 : 1;
  },
};

/** The hello guide dials port 50051; elsewhere it must be told. */
function addressFlag({ bound: [first] }: App): string {
  if (first === undefined || first.port === 50_051) return '';
  return ` --addr ${first.port === undefined ? first.address : `localhost:${first.port}`}`;
}
