// Compares HTTP/2 without gRPC: the requests per second of a 20-byte echo on src/engine/http2 and on node:http2,
// and the memory of an idle connection and of an open stream.
import { bytes, measureMemory } from './memory.mjs';
import { measureAll, ratio } from './rig.mjs';

const rounds = 3;
const node = process.execPath;
const ours = { name: 'src/engine/http2', command: [node, 'bench/peers/http2_echo.ts'] };
const theirs = { name: 'node:http2', command: [node, 'bench/peers/node_http2_echo.mjs'] };

/** Measures, and prints. */
export async function benchHttp2() {
  for (const [connections, streams] of [
    [10, 10],
    [100, 1],
  ]) {
    const load = { connections, streams, path: '/', body: Buffer.alloc(20, 'x') };
    const rates = await measureAll([ours, theirs], load, rounds);
    const [our = [], their = []] = rates.values();
    console.log(
      `http2, ${connections} connections x ${streams} streams: ${ours.name} ${our.join(' ')} requests/s,`,
      `${theirs.name} ${their.join(' ')}: ratio ${ratio(our, their).toFixed(1)}`,
    );
  }
  for (const { name, command } of [ours, theirs]) {
    const fields = [':method', 'POST', ':scheme', 'http', ':path', '/', ':authority', 'a'];
    const { perConnection, perStream } = await measureMemory(command, fields);
    console.log(
      `http2: ${name}: an idle connection ${bytes(perConnection)}, an open stream ${bytes(perStream)}`,
    );
  }
}
