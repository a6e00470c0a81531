import { readdir } from 'node:fs/promises';
import type { EventLoopUtilization } from 'node:perf_hooks';
import { Counter, Gauge, type Registry } from 'prom-client';

/** The parts of Node's `process` and `performance` that metrics use. */
export interface ProcessFigures {
  /** Microseconds. */
  cpuUsage: () => { user: number; system: number };
  /** Bytes. */
  memoryUsage: () => Pick<NodeJS.MemoryUsage, 'rss' | 'heapTotal' | 'heapUsed' | 'external'>;
  /** The limit of V8's heap, in bytes. */
  heapLimit: () => number;
  /** Active and idle time of the event loop, in milliseconds. */
  eventLoop: () => Pick<EventLoopUtilization, 'active' | 'idle'>;
  /** Milliseconds since the epoch. */
  startedAt: number;
  nodeVersion: string;
}

/**
 * Adds metrics of the process, named as in Prometheus client libraries and read at each scrape. prom-client's default
 * metrics would observe the event loop and the garbage collector all the time.
 */
export function addProcessMetrics(registry: Registry, figures: ProcessFigures): void {
  const { cpuUsage, memoryUsage, heapLimit, eventLoop, startedAt } = figures;
  const registers = [registry];
  const gauge = (name: string, help: string, value: () => number | Promise<number>) =>
    new Gauge({
      name,
      help,
      registers,
      async collect() {
        this.set(await value());
      },
    });
  const counter = (name: string, help: string, value: () => number) =>
    new Counter({
      name,
      help,
      registers,
      collect() {
        this.reset();
        this.inc(value());
      },
    });

  counter(
    'process_cpu_user_seconds_total',
    'User CPU time of the process in seconds',
    () => cpuUsage().user / 1e6,
  );
  counter('process_cpu_system_seconds_total', 'System CPU time of the process in seconds', () => {
    return cpuUsage().system / 1e6;
  });
  counter('process_cpu_seconds_total', 'User and system CPU time of the process in seconds', () => {
    const { user, system } = cpuUsage();
    return (user + system) / 1e6;
  });
  gauge(
    'process_start_time_seconds',
    'Start time of the process in seconds since the Unix epoch',
    () => startedAt / 1000,
  );
  gauge(
    'process_resident_memory_bytes',
    'Resident memory of the process in bytes',
    () => memoryUsage().rss,
  );
  gauge(
    'process_open_fds',
    'Open file descriptors of the process; 0 where /proc is missing',
    openFiles,
  );
  gauge(
    'nodejs_heap_size_total_bytes',
    'Size of the V8 heap in bytes',
    () => memoryUsage().heapTotal,
  );
  gauge(
    'nodejs_heap_size_used_bytes',
    'Used part of the V8 heap in bytes',
    () => memoryUsage().heapUsed,
  );
  gauge('nodejs_heap_size_limit_bytes', 'Limit of the V8 heap in bytes', heapLimit);
  gauge(
    'nodejs_external_memory_bytes',
    'Memory of buffers outside of the V8 heap in bytes',
    () => memoryUsage().external,
  );
  counter(
    'nodejs_eventloop_active_seconds_total',
    'Time in seconds in which the event loop was busy',
    () => {
      return eventLoop().active / 1000;
    },
  );
  counter(
    'nodejs_eventloop_idle_seconds_total',
    'Time in seconds in which the event loop was idle',
    () => {
      return eventLoop().idle / 1000;
    },
  );
  gauge(
    'nodejs_eventloop_lag_seconds',
    'Delay of one turn of the event loop in seconds, measured when the metrics are read',
    lag,
  );
}

async function openFiles(): Promise<number> {
  const files = await readdir('/proc/self/fd').catch(() => []);
  return files.length;
}

function lag(): Promise<number> {
  const from = performance.now();
  return new Promise((resolve) => {
    setImmediate(() => resolve((performance.now() - from) / 1000));
  });
}
