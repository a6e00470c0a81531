// Measures the memory of an idle server, of an idle connection and of an open stream: the resident set size of
// the process, and for Node also the bytes that V8 holds after garbage collection. It needs Linux.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { encodeHeaders } from '../src/engine/http2/hpack/encoder.ts';

const connections = 1000;
const streams = 10_000;
const streamsEach = 500;

/** The preface, and an empty SETTINGS frame. */
const greeting = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1'),
  Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]),
]);

/**
 * Returns the bytes of the idle server, of an idle connection, and of an open stream.
 *
 * @param {readonly string[]} command
 * @param {readonly string[]} fields of the requests that stay open; names and values alternate
 */
export async function measureMemory([program = '', ...args], fields) {
  const isNode = program === process.execPath;
  const flags = isNode ? ['--expose-gc', '--import', './bench/memory_probe.mjs'] : [];
  const server = spawn(program, [...flags, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const block = encodeHeaders(fields);
  const exited = once(server, 'exit');
  const lines = createInterface({ input: server.stdout });
  const sockets = [];
  try {
    const [line] = await once(lines, 'line');
    const port = JSON.parse(line).port;
    const probe = async () => {
      const status = readFileSync(`/proc/${server.pid}/status`, 'utf8');
      const rss = 1024 * Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]);
      if (!isNode) return { held: Number.NaN, rss };
      server.kill('SIGUSR2');
      const [said] = await once(lines, 'line');
      return JSON.parse(said);
    };
    // The first requests make the server load code.
    sockets.push(await open(port, 10, block));
    const before = await probe();
    for (let i = 0; i < connections; i++) sockets.push(await open(port, 0, block));
    const connected = await probe();
    for (let i = 0; i < streams / streamsEach; i++) {
      sockets.push(await open(port, streamsEach, block));
    }
    const opened = await probe();
    return {
      idle: before,
      perConnection: less(connected, before, connections),
      perStream: less(opened, connected, streams),
    };
  } finally {
    for (const socket of sockets) socket.destroy();
    server.kill();
    await exited;
  }
}

/**
 * Opens a connection with `count` open streams, whose request bodies do not end. Resolves when the server
 * has processed them.
 *
 * @param {number} port
 * @param {number} count
 * @param {Buffer} block
 */
export async function open(port, count, block) {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  socket.write(greeting);
  await once(socket, 'data');
  // Acknowledges the server's SETTINGS.
  socket.write(Buffer.from([0, 0, 0, 4, 1, 0, 0, 0, 0]));
  for (let i = 0; i < count; i++) socket.write(request(2 * i + 1, block));
  // The server answers this PING after it has processed everything before it.
  socket.write(Buffer.from([0, 0, 8, 6, 0, 0, 0, 0, 0, ...Buffer.from('answered')]));
  let heard = '';
  socket.on('data', (bytes) => {
    heard = (heard + bytes.toString('latin1')).slice(-100_000);
  });
  while (!heard.includes('answered')) await once(socket, 'data');
  return socket;
}

/**
 * Returns a HEADERS frame.
 *
 * @param {number} stream
 * @param {Buffer} block
 */
function request(stream, block) {
  const head = Buffer.from([0, 0, block.length, 1, 4, 0, 0, 0, 0]);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, block]);
}

/**
 * @param {{ held: number, rss: number }} after
 * @param {{ held: number, rss: number }} before
 * @param {number} count
 */
function less(after, before, count) {
  return {
    held: Math.round((after.held - before.held) / count),
    rss: Math.round((after.rss - before.rss) / count),
  };
}

/** @param {{ held: number, rss: number }} memory */
export function bytes({ held, rss }) {
  return Number.isNaN(held) ? `${rss} bytes resident` : `${rss} bytes resident, ${held} of V8`;
}
