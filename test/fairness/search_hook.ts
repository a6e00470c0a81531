// Loaded into a server before the program (`--import`): who connects to the unix socket SEARCH_SOCKET and says anything is
// told what the main thread has done. It answers when the thread has time to.
import { createServer } from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Work } from './search.ts';

const delays = monitorEventLoopDelay({ resolution: 1 });
delays.enable();
createServer((socket) => {
  socket
    .on('error', () => {})
    .on('data', () => {
      const { user, system } = process.threadCpuUsage();
      const work: Work = { cpuMs: (user + system) / 1000, stallMs: delays.max / 1e6 };
      delays.reset();
      socket.write(`${JSON.stringify(work)}\n`);
    });
})
  .listen(process.env['SEARCH_SOCKET'])
  .unref();
