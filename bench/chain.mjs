// Measures the cost of each middleware for a unary call: our engine without middleware, and then with one more
// at a time, from the service outwards.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundled, unaryLoad } from './grpc.mjs';
import { measureAll, ratio } from './rig.mjs';

const rounds = 3;
const inwards = ['request log', 'errors', 'deadline', 'limit'];

/** Measures, and prints a table. */
export async function benchChain() {
  const folder = mkdtempSync(join(tmpdir(), 'greeter-'));
  try {
    const file = await bundled('chain', folder);
    const peers = Array.from({ length: inwards.length + 1 }, (_, count) => {
      const names = inwards.slice(inwards.length - count);
      const name = count === 0 ? 'none' : `+ ${names[0]}`;
      return { name, command: [process.execPath, file, ...names], log: join(folder, 'log') };
    });
    const rates = [...(await measureAll(peers, unaryLoad, rounds))];
    const bare = rates[0]?.[1] ?? [];
    console.log('chain, unary, 10 connections x 10 streams:');
    console.log(
      '| middleware | requests/s | of none | ns a call more than the one before |\n| - | - | - | - |',
    );
    let before = 0;
    for (const [name, own] of rates) {
      const rate = own.toSorted((a, b) => a - b)[1] ?? Number.NaN;
      const ns = 1e9 / rate;
      const more = before === 0 ? '' : Math.round(ns - before);
      before = ns;
      console.log(`| ${name} | ${rate} | ${ratio(own, bare).toFixed(2)} | ${more} |`);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}
