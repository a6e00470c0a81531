import { type Channel, type Client, createChannel, createClient } from 'nice-grpc';
import { pino } from 'pino';
import type { Call } from '../src/context.ts';
import { type GreeterServiceImplementation as Greet, GreeterDefinition } from '../src/gen/greet.ts';
import { createDrain, type Drain } from '../src/middleware/drain.ts';
import { createGreet } from '../src/services/greet.ts';
import { createHealth } from '../src/services/health.ts';
import { createHealthState, type HealthState } from '../src/services/health_state.ts';
import { createHello } from '../src/services/hello.ts';
import { createHelloworld } from '../src/services/helloworld.ts';
import { createReflection } from '../src/services/reflection.ts';
import { createSample } from '../src/services/sample.ts';
import { createUnary } from '../src/services/unary.ts';
import { buildServer, serviceNames } from '../src/transport/server.ts';

/** A server with the whole chain on a free port, and a client of its greet service. */
export interface Running extends AsyncDisposable {
  address: string;
  channel: Channel;
  client: Client<typeof GreeterDefinition>;
  drain: Drain;
  state: HealthState;
  log: MemoryLog;
  shutdown(): Promise<void>;
}

interface ServeOptions {
  /** Methods of the greet service that behave otherwise. */
  greet?: Partial<Greet<Call>>;
  parrotInterval?: number;
  deadlines?: { max: number; fallback: number | undefined };
  maxMessageSize?: number;
}

/** Serves until the end of the test: use with `await using`. */
export async function serve({
  greet,
  parrotInterval = 0,
  deadlines = { max: 60_000, fallback: undefined },
  maxMessageSize = 4 * 1024 * 1024,
}: ServeOptions = {}): Promise<Running> {
  const log = memoryLog();
  const drain = createDrain();
  const state = createHealthState(serviceNames);
  state.serving();
  const server = buildServer({
    log: pino({ base: null }, log),
    drain,
    limits: { maxConcurrentStreams: 1000, maxMessageSize },
    deadlines,
    services: {
      unary: createUnary(),
      hello: createHello(),
      sample: createSample(),
      helloworld: createHelloworld(),
      greet: { ...createGreet({ parrotInterval }), ...greet },
      health: createHealth(state),
      reflection: createReflection(serviceNames),
    },
  });
  const address = `127.0.0.1:${await server.listen('127.0.0.1:0')}`;
  const channel = createChannel(address);
  return {
    address,
    channel,
    client: createClient(GreeterDefinition, channel),
    drain,
    state,
    log,
    shutdown: () => server.shutdown(),
    async [Symbol.asyncDispose]() {
      drain.cut();
      channel.close();
      await server.shutdown();
    },
  };
}

/** A line of the log. */
export type Line = Record<string, unknown>;

/** A log that a test reads. */
export interface MemoryLog {
  /** All lines so far. */
  lines: Line[];
  /** The first line, past or to come, that has these fields. */
  line(fields: Line): Promise<Line>;
  /** Takes a line of JSON. */
  write(json: string): void;
}

/** Makes a log that keeps its lines. */
export function memoryLog(): MemoryLog {
  const lines: Line[] = [];
  const waiting = new Set<() => void>();
  return {
    lines,
    async line(fields) {
      while (true) {
        const found = lines.find((line) => Object.entries(fields).every(([k, v]) => line[k] === v));
        if (found) return found;
        await new Promise<void>((resolve) => waiting.add(resolve));
      }
    },
    write(json) {
      lines.push(JSON.parse(json));
      for (const resolve of waiting) resolve();
      waiting.clear();
    },
  };
}

/** Resolves when the condition holds; asks again with every turn of the event loop. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

/** An async iterable that is fed by hand. */
export function feed<T>(): { push(value: T): void; end(): void } & AsyncIterable<T> {
  const values: T[] = [];
  let ended = false;
  let wake = Promise.withResolvers<void>();
  return {
    push(value) {
      values.push(value);
      wake.resolve();
    },
    end() {
      ended = true;
      wake.resolve();
    },
    async *[Symbol.asyncIterator]() {
      while (true) {
        const [value] = values.splice(0, 1);
        if (value !== undefined) yield value;
        else if (ended) return;
        else {
          await wake.promise;
          wake = Promise.withResolvers();
        }
      }
    },
  };
}
