import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { Duplex } from 'node:stream';
import { test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { certificate, withLongestChain } from '../../../test/support/certificate.ts';
import { dialTls } from '../../../test/support/handshake.ts';
import { eventually } from '../../../test/support/harness.ts';
import { frameOf } from '../../../test/support/http2_peer.ts';
import { Flag, FrameType, preface } from '../http2/frames.ts';
import type { Incident } from '../http2/incident.ts';
import { createServer } from '../../../test/support/engine.ts';

const authority = await certificate({ name: 'authority' });
const [own, client] = await Promise.all([certificate(), certificate({ signer: authority })]);

/** A server with client certificates, and memory for one long chain and a part of another. */
async function serve() {
  const incidents: Incident[] = [];
  const onIncident = (incident: Incident) => incidents.push(incident);
  const server = createServer({ maxHandshakes: 2, onIncident });
  const files = { ...own, clientCa: authority.cert };
  const port = (await server.listen({ host: '127.0.0.1', port: 0 }, files)) ?? 0;
  return { port, incidents, [Symbol.dispose]: () => server.forceShutdown() };
}

const greeting = Buffer.concat([preface, frameOf(FrameType.SETTINGS, 0, 0, Buffer.alloc(0))]);
const ping = (text: string) => frameOf(FrameType.PING, 0, 0, Buffer.from(text));
const answerTo = (text: string) => frameOf(FrameType.PING, Flag.ACK, 0, Buffer.from(text));

/**
 * True if a connection is served after these bytes; otherwise the server closes it, a turn after its first output.
 */
async function isServed(socket: TLSSocket, more = Buffer.alloc(0)): Promise<boolean> {
  let heard = Buffer.alloc(0);
  let isClosed = false;
  socket
    .once('secureConnect', () => socket.write(Buffer.concat([greeting, more, ping('1st ping')])))
    .on('data', (bytes: Buffer) => (heard = Buffer.concat([heard, bytes])))
    .once('close', () => (isClosed = true));
  const isOver = (text: string) => isClosed || heard.includes(answerTo(text));
  await eventually('an answer or the end', () => isOver('1st ping'));
  socket.write(ping('2nd ping'));
  await eventually('an answer or the end', () => isOver('2nd ping'));
  return !isClosed;
}

test('listen() with client CAs limits the bytes of long chains until their connections close', async () => {
  using running = await serve();
  const { port, incidents } = running;
  const long = withLongestChain(client);
  const first = dialTls(port, long);
  assert.equal(await isServed(first), true);

  const second = await isServed(dialTls(port, long));
  const ordinary = dialTls(port, client);

  assert.equal(second, false);
  const message = 'Cannot keep more than 131072 bytes of long client certificate chains';
  assert.partialDeepStrictEqual(incidents, [{ reason: 'handshake_dropped', message }]);
  assert.equal(await isServed(ordinary), true);
  assert.equal(first.closed, false);
  first.destroy();
  // The server notices it a moment later.
  await eventually('room for another', async () => {
    const third = dialTls(port, long);
    const isTaken = await isServed(third);
    third.destroy();
    return isTaken;
  });
  ordinary.destroy();
});

test('listen() with client CAs does not count data after the handshake as certificates', async () => {
  using running = await serve();
  const { port, incidents } = running;
  // Frames of an unknown type, which are ignored (RFC 9113 section 4.1).
  const strange = Buffer.concat(
    Array.from({ length: 4 }, () => frameOf(0xfa, 0, 0, Buffer.alloc(16_000))),
  );

  const all = Array.from({ length: 4 }, () => dialTls(port, { ...client, socket: atOnce(port) }));
  const served = await Promise.all(all.map((socket) => isServed(socket, strange)));

  assert.deepEqual(served, [true, true, true, true]);
  assert.deepEqual(incidents, []);
  for (const socket of all) socket.destroy();
});

/** A connection that sends the end of its handshake together with the data after it. */
function atOnce(port: number): Duplex {
  const tcp = connect(port, '127.0.0.1').on('error', () => {});
  let held = Buffer.alloc(0);
  // The ClientHello is sent at once; later data is held until there is enough.
  const least = [0, 64_000];
  const wire = new Duplex({
    read() {},
    write(bytes: Buffer, _encoding, done) {
      held = Buffer.concat([held, bytes]);
      if (held.length >= (least[0] ?? 0)) {
        tcp.write(held);
        held = Buffer.alloc(0);
        least.shift();
      }
      done();
    },
  });
  tcp.on('data', (bytes) => wire.push(bytes)).once('close', () => wire.destroy());
  return wire.on('error', () => {}).once('close', () => tcp.destroy());
}
