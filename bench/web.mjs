// Compares unary calls with Connect, in protobuf and in JSON, over both versions of HTTP: the product with all
// middleware and its log in a file, and the server of @connectrpc/connect-node without interceptors.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundle } from '../release/bundle.ts';
import { HelloRequest } from '../src/gen/helloworld.ts';
import { bundled, product } from './grpc.mjs';
import { measureAll, ratio } from './rig.mjs';

const rounds = 3;
const request = { name: 'Bello Keys' };
const bodies = {
  proto: Buffer.from(HelloRequest.encode(request).finish()),
  json: Buffer.from(JSON.stringify(request)),
};

/** Measures, and prints the rates. */
export async function benchWeb() {
  const folder = mkdtempSync(join(tmpdir(), 'greeter-'));
  try {
    const file = join(folder, 'product.mjs');
    await bundle(file);
    const other = await bundled('connect_node', folder);
    for (const version of ['1.1', '2']) {
      const peers = [
        product(file, 'direct', join(folder, 'log')),
        { name: 'connect-node', command: [process.execPath, other, version] },
      ];
      for (const [format, body] of Object.entries(bodies)) {
        const rates = await measureAll(peers, loadOf({ format, body, version }), rounds);
        const [[, own] = ['', []], [, others] = ['', []]] = [...rates];
        console.log(
          `web, unary with ${format} over HTTP/${version}, requests/s: ${own.join(' ')}, connect-node ${others.join(' ')}: ${ratio(own, others).toFixed(2)} of connect-node`,
        );
      }
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** @param {{ format: string, body: Buffer, version: string }} options */
function loadOf({ format, body, version }) {
  return {
    connections: 10,
    streams: version === '2' ? 10 : 1,
    path: '/helloworld.Greeter/SayHello',
    headers: [`content-type: application/${format}`],
    body,
    isHttp1: version === '1.1',
  };
}
