import assert from 'node:assert/strict';
import { connect as connectTcp, type Socket } from 'node:net';
import { afterEach } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { FrameType, preface, FrameReader } from '../../src/engine/http2/frames.ts';
import { goAwayCode, type Seen } from '../support/http2_peer.ts';
import type { Victim } from './victim.ts';

export { greeting, ids } from './greeting.ts';

/** A peer that may send anything. */
export interface Attacker {
  socket: Socket;
  /** The frames that the server has sent. */
  frames: Seen[];
  write: (bytes: Buffer) => void;
  /** Waits until the frames satisfy a condition. Throws if the connection ends before. */
  sees: (condition: (frames: readonly Seen[]) => boolean) => Promise<void>;
  /** Waits for the end of the connection; returns the error code of its GOAWAY. */
  cutOff: () => Promise<number | undefined>;
  /** The number of streams that the server has accepted, by its GOAWAY. */
  taken: () => number;
}

/** Connects in plaintext. */
export function attackPlain({ plain }: Victim): Attacker {
  return attacker(connectTcp(plain, '127.0.0.1'));
}

/** Connects with TLS. */
export function attackTls({ tls }: Victim, ALPNProtocols?: string[]): Attacker {
  const options = { port: tls, host: '127.0.0.1', rejectUnauthorized: false };
  return attacker(connectTls(ALPNProtocols ? { ...options, ALPNProtocols } : options));
}

const typeNames = Object.keys(FrameType);

/** Otherwise a failed test leaves its attackers open. */
const sockets = new Set<Socket>();
afterEach(() => {
  for (const socket of sockets) socket.destroy();
});

function attacker(socket: Socket): Attacker {
  sockets.add(socket);
  const frames: Seen[] = [];
  const reader = new FrameReader(({ type, flags, streamId, bytes, start, end }) => {
    const payload = bytes.toString('hex', start, end);
    frames.push({ type: typeNames[type] ?? `${type}`, flags, streamId, payload });
  });
  reader.read(preface);
  socket.on('error', () => {}).on('data', (bytes: Buffer) => reader.read(bytes));
  const closed = new Promise((resolve) => socket.once('close', resolve));
  void closed.then(() => sockets.delete(socket));
  return {
    socket,
    frames,
    write: (bytes) => void socket.write(bytes),
    async sees(condition) {
      while (!condition(frames)) {
        assert.ok(!socket.closed, 'was cut off');
        await Promise.race([new Promise((resolve) => socket.once('data', resolve)), closed]);
      }
    },
    async cutOff() {
      await closed;
      return goAwayCode(frames);
    },
    taken() {
      const goAway = frames.find(({ type }) => type === 'GOAWAY');
      const lastId = Number.parseInt(goAway?.payload.slice(0, 8) ?? '0', 16);
      return (lastId + 1) / 2;
    },
  };
}

const maxRounds = 100;

/**
 * Repeats a write, with calls of the other client in between, until the server ends the connection; returns the error
 * code.
 */
export async function flood(
  victim: Victim,
  { socket, write, cutOff }: Attacker,
  bytes: (round: number) => Buffer,
): Promise<number | undefined> {
  for (let round = 0; !socket.closed; round++) {
    assert.ok(round < maxRounds, 'was never cut off');
    write(bytes(round));
    await victim.ask();
  }
  return cutOff();
}
