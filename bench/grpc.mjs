// Compares gRPC servers: our engine, nice-grpc on grpc-js, and grpc-go, each without middleware, and the product
// with all middleware. All of them serve test/echo and get the same calls. grpc-go is built from source, which
// needs Go.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { bundle } from '../release/bundle.ts';
import { EchoRequest } from '../test/echo/gen/echo.ts';
import { bytes, measureMemory } from './memory.mjs';
import { measureAll, ratio } from './rig.mjs';

const rounds = 3;
const node = process.execPath;
const unary = '/echo.Echo/Unary';
const stream = '/echo.Echo/ServerStream';
/** The headers of every call. */
export const headers = ['content-type: application/grpc', 'te: trailers'];

/** The headers of a unary call that stays open, because its message never comes. */
export const openCall = [
  ':method',
  'POST',
  ':scheme',
  'http',
  ':path',
  unary,
  ':authority',
  'a',
  'content-type',
  'application/grpc',
  'te',
  'trailers',
];
/** With go-grpc-middleware's interceptors for logging, Prometheus and recovery, and with a timeout. */
const goChain = 'grpc-go with interceptors';
const loads = [
  { title: 'unary, 10 connections x 10 streams', path: unary, connections: 10, streams: 10 },
  { title: 'unary, 100 connections x 1 stream', path: unary, connections: 100, streams: 1 },
  { title: 'streams of 1,000 messages, 10 x 1', path: stream, connections: 10, streams: 1 },
];

/** Ten busy connections with small unary calls. */
export const unaryLoad = {
  connections: 10,
  streams: 10,
  path: unary,
  headers,
  body: frame(EchoRequest.encode({ text: 'Bello Keys' }).finish()),
};

/** Measures, and prints the rates and the memory. */
export async function benchGrpc() {
  const folder = mkdtempSync(join(tmpdir(), 'greeter-'));
  try {
    const go = join(folder, 'grpc_go');
    execFileSync('bench/peers/grpc_go/build.sh', [go], { stdio: 'inherit' });
    const log = join(folder, 'log');
    const file = join(folder, 'product.mjs');
    await bundle(file, {
      replacements: { 'src/services.ts': 'bench/peers/product_services.ts' },
    });
    const bare = [
      { name: 'direct', command: [node, await bundled('direct', folder)] },
      { name: 'nice-grpc', command: [node, await bundled('nice_grpc', folder)] },
      { name: 'grpc-go', command: [go] },
    ];
    for (const { title, ...load } of loads) {
      const text = load.path === stream ? '1000' : 'Bello Keys';
      const body = frame(EchoRequest.encode({ text }).finish());
      const withChain = [
        ...['direct', 'grpc-js'].map((engine) => product(file, engine, log)),
        { name: goChain, command: [go, 'chain'], log },
      ];
      const peers = load.path === unary ? [...bare, ...withChain] : bare;
      print(title, await measureAll(peers, { ...load, body, headers }, rounds));
    }
    for (const { name, command } of bare) {
      const { idle, perConnection, perStream } = await measureMemory(command, openCall);
      console.log(
        `grpc, memory of ${name}: idle ${idle.rss} bytes resident; an idle connection ${bytes(perConnection)}; an open call ${bytes(perStream)}`,
      );
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/**
 * Returns the command of the product, with its log in a file.
 *
 * @param {string} file
 * @param {string} engine
 * @param {string} log
 */
export function product(file, engine, log) {
  const ports = ['--listen', '127.0.0.1:0', '--admin-listen', '127.0.0.1:0'];
  const flags = ['--engine', engine, ...ports, '--log-format', 'json'];
  return { name: `product on ${engine}`, command: [node, file, ...flags], log };
}

/**
 * Bundles a peer into one file, as it would be deployed.
 *
 * @param {string} peer
 * @param {string} folder
 */
export async function bundled(peer, folder) {
  const outfile = join(folder, `${peer}.mjs`);
  const js =
    "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);";
  await build({
    entryPoints: [`bench/peers/${peer}.ts`],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    banner: { js },
  });
  return outfile;
}

/**
 * Returns a message with its gRPC prefix.
 *
 * @param {Uint8Array} message
 */
export function frame(message) {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/**
 * @param {string} title
 * @param {Map<string, number[]>} rates
 */
function print(title, rates) {
  console.log(`grpc, ${title}, requests/s:`);
  for (const [name, own] of rates) {
    const ratios = [...rates]
      .filter(([other]) => ['nice-grpc', 'grpc-go', goChain].includes(other))
      .map(([other, others]) => `${ratio(own, others).toFixed(2)} of ${other}`);
    console.log(`  ${name}: ${own.join(' ')}: ${ratios.join(', ')}`);
  }
}
