import { readdir } from 'node:fs/promises';
import type { EventLoopUtilization } from 'node:perf_hooks';
import { Counter, Gauge, type Registry } from 'prom-client';

/** What a process can say of itself: a part of Node's `process` and `performance`. */
export interface ProcessFigures {
  /** Microseconds. */
  cpuUsage: () => { user: number; system: number };
  /** Bytes. */
  memoryUsage: () => Pick<NodeJS.MemoryUsage, 'rss' | 'heapTotal' | 'heapUsed' | 'external'>;
  /** Bytes that V8's heap may grow to. */
  heapLimit: () => number;
  /** Milliseconds in which the event loop had work, and had none. */
  eventLoop: () => Pick<EventLoopUtilization, 'active' | 'idle'>;
  /** Milliseconds since the epoch. */
  startedAt: number;
  nodeVersion: string;
}

/**
 * The process, named as in Prometheus' own libraries, and read when somebody asks. prom-client's default
 * metrics also watch the event loop and the collector all the time, asked or not.
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

  counter('process_cpu_user_seconds_total', 'Time of our own code', () => cpuUsage().user / 1e6);
  counter('process_cpu_system_seconds_total', "The system's time for us", () => {
    return cpuUsage().system / 1e6;
  });
  counter('process_cpu_seconds_total', 'Both together', () => {
    const { user, system } = cpuUsage();
    return (user + system) / 1e6;
  });
  gauge('process_start_time_seconds', 'When the process began', () => startedAt / 1000);
  gauge('process_resident_memory_bytes', 'Memory in use', () => memoryUsage().rss);
  gauge('process_open_fds', 'Open files and sockets; 0 where nobody can say', openFiles);
  gauge('nodejs_heap_size_total_bytes', "V8's heap", () => memoryUsage().heapTotal);
  gauge('nodejs_heap_size_used_bytes', 'What of it is in use', () => memoryUsage().heapUsed);
  gauge('nodejs_heap_size_limit_bytes', 'What it may grow to', heapLimit);
  gauge('nodejs_external_memory_bytes', 'Buffers outside of it', () => memoryUsage().external);
  counter('nodejs_eventloop_active_seconds_total', 'Time in which the event loop had work', () => {
    return eventLoop().active / 1000;
  });
  counter('nodejs_eventloop_idle_seconds_total', 'Time in which it had none', () => {
    return eventLoop().idle / 1000;
  });
  gauge(
    'nodejs_eventloop_lag_seconds',
    'How long the event loop took to come round, just now',
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
