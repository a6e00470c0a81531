import { type App, startApp } from '../app.ts';
import { type Config, loadResolved, settingRows } from '../config.ts';
import type { Complaint } from '../config/tracing.ts';
import { handleSignals, logUncaughtErrors, type Signals, stop } from '../lifecycle.ts';
import { explainInUse } from './address_in_use.ts';
import type { Command, Flag } from './command.ts';
import { reportStartError } from './start_error.ts';
import { callToTry, startLines, stopLine } from './start_lines.ts';

/** A flag for each setting. */
export const settingFlags: readonly Flag[] = settingRows().map((row) => ({
  name: row.name,
  value: row.value,
  help: `${row.help} (default "${row.fallback}", env ${row.env})`,
}));

/** Exits 0 if all calls completed, 1 if calls were cut or no address could be opened. */
export const serve: Command = {
  summary: 'Serve until SIGTERM',
  flags: settingFlags,
  examples: [
    ['serve', 'Serve everything on the default ports'],
    ['serve --listen 127.0.0.1:0 --log-format json', 'Use a free port of the loopback interface'],
    ['serve --shutdown-delay 5s --drain-timeout 30s', 'Shut down slowly, behind a load balancer'],
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
      signals = handleSignals(io);
      const given = { config, flags: args.flags, env: io.env };
      app = await startApp(config, io).catch(async (error) => {
        throw await explainInUse(error, given);
      });
    } catch (error) {
      return reportStartError(error, args, io);
    }
    signals.attach(app);
    logUncaughtErrors(app.log);
    for (const { level, message, reason } of complaints) app.log[level]({ reason }, message);
    const started = { ...io, app, config };
    if (app.tell) app.tell(startLines(started));
    else {
      const serving = { version: io.version, services: app.services };
      app.log.info({ ...serving, try: callToTry(started) }, 'serving');
    }
    app.log.flush();
    const signal = await signals.stopped;
    app.tell?.(stopLine({ signal, calls: app.openCalls(), ...config }));
    return (await stop(app, config)) ? 0 : 1;
  },
};
