import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadConfig } from '../config.ts';
import { startLines, stopLine } from './start_lines.ts';

const config = loadConfig({ flags: {}, env: {} });
const services = [
  'shop.v1.Orders',
  'Ping',
  'warehouse.Bins',
  'helpdesk.v1.Tickets',
  'chat.v2.Chat',
  'grpc.health.v1.Health',
];
const grpc = [
  { address: ':50051', port: 50_051 },
  { address: '0.0.0.0:0', port: 9999 },
];
const admin = [{ address: ':9464', port: 9464 }];
const app = { bound: { grpc, health: [], admin }, services };

test('startLines() shows addresses, services, metrics, a command to try and how to stop, in five short lines', () => {
  const lines = startLines({
    app,
    config,
    program: 'npm start --',
    firstCall: 'call ping',
  });

  assert.equal(
    lines,
    `gRPC      localhost:50051, 127.0.0.1:9999
Services  shop.v1.Orders, Ping, warehouse.Bins, helpdesk.v1.Tickets and 2 more
Metrics   http://localhost:9464/metrics
Try       npm start -- call ping
Stop      Ctrl-C; open calls have 20s to finish
`,
  );
  assert.ok(lines.split('\n').every((line) => line.length <= 80));
});

test('startLines() names every service that fits, and the health port', () => {
  const health = [{ address: ':50052', port: 50_052 }];
  const few = { bound: { grpc, health, admin: [] }, services: services.slice(0, 4) };

  const [first, second, third] = startLines({ app: few, config, program: 'greeter' }).split('\n');

  assert.equal(first, 'gRPC      localhost:50051, 127.0.0.1:9999; health on localhost:50052');
  assert.equal(second, 'Services  shop.v1.Orders, Ping, warehouse.Bins, helpdesk.v1.Tickets');
  assert.equal(third, 'Metrics   off');
});

const times = { shutdownDelay: 0, drainTimeout: 90_000 };
const again = 'Press Ctrl-C again to end now.';

test('stopLine() shows what the server waits for, and that a second Ctrl-C ends it', () => {
  const cases = [
    [{ calls: 0, ...times }, 'Shutting down: no call is open.\n'],
    [{ calls: 1, ...times }, `Shutting down: waiting at most 1m30s for 1 open call. ${again}\n`],
    [{ calls: 3, ...times }, `Shutting down: waiting at most 1m30s for 3 open calls. ${again}\n`],
    [
      { calls: 0, shutdownDelay: 5000, drainTimeout: 250 },
      `Shutting down: serving for another 5s, then waiting at most 250ms for open calls. ${again}\n`,
    ],
  ] as const;

  for (const [state, line] of cases) assert.equal(stopLine({ signal: 'SIGTERM', ...state }), line);
});

test('stopLine() starts a new line after the ^C of the terminal', () => {
  const line = stopLine({ signal: 'SIGINT', calls: 0, ...times });

  assert.equal(line, '\nShutting down: no call is open.\n');
});
