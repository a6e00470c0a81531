import { test } from 'node:test';
import { ErrorCode } from '../../src/engine/http2/errors.ts';
import { Flag, FrameType } from '../../src/engine/http2/frames.ts';
import { ids } from '../http2_attacks/attacker.ts';
import { untilServer } from '../http2_attacks/shedding.ts';
import { callOf, headers, product } from '../http2_attacks/targets.ts';
import { startVictim } from '../http2_attacks/victim.ts';
import { frameOf, word } from '../support/http2_peer.ts';
import { paths } from '../support/kinds.ts';
import { answered, attack } from './calls.ts';

const { END_STREAM } = Flag;
const victim = await startVictim(product);
/** Few for `npm test`, as each makes a thousand calls. */
const connections = Number(process.env['ATTACK_CONNECTIONS'] ?? 2);

test('a thousand calls that are reset on each of many connections all end', async () => {
  const reset = (id: number) => frameOf(FrameType.RST_STREAM, 0, id, word(ErrorCode.CANCEL));
  const calls = ids(1000).flatMap((id) => [headers(id, product.silent), reset(id)]);
  const all = Buffer.concat([...calls, frameOf(FrameType.PING, 0, 0, Buffer.alloc(8))]);
  await victim.survives(async () => {
    for (let i = 0; i < connections; i++) {
      const attacker = attack(victim);
      await victim.ask();
      attacker.write(all);
      await victim.ask();
      await attacker.sees((frames) => frames.some(({ type }) => type === 'PING'));
      attacker.socket.destroy();
    }
    return { CANCELLED: 1000 * connections };
  });
});

test('thousands of calls with a deadline of 1 ns all end with DEADLINE_EXCEEDED', async () => {
  const call = callOf(paths.clientStream, { 'grpc-timeout': '1n' });
  await victim.survives(async () => {
    // The limit is ten thousand, and other calls must be answered, too.
    const attackers = Array.from({ length: Math.min(connections, 9) }, () => attack(victim));
    for (const { write } of attackers) {
      write(Buffer.concat(ids(1000).map((id) => headers(id, call))));
    }
    await untilServer(victim, ({ openStreams }) => openStreams === 1000 * attackers.length);
    await victim.pass(1);
    for (const attacker of attackers) await attacker.sees(() => answered(attacker) === 1000);
    for (let i = 0; i < 3; i++) await victim.ask();
    for (const { socket } of attackers) socket.destroy();
    return { DEADLINE_EXCEEDED: 1000 * attackers.length };
  });
});

/** Fields that are expensive to parse naively. */
const fields: Record<string, Record<string, string>> = {
  'white space in grpc-accept-encoding': {
    'grpc-encoding': 'gzip',
    'grpc-accept-encoding': `a${' '.repeat(15_000)}a`,
  },
  '15,000 values of one name': { 'x-many-bin': ','.repeat(15_000) },
};

for (const [name, more] of Object.entries(fields)) {
  // A naive parser took 140 and 10 ms per call.
  test(`1,000 calls with ${name} are answered soon`, { timeout: 15_000 }, async () => {
    const call = callOf('/no.Service/Method', more);
    await victim.survives(async () => {
      const attacker = attack(victim);
      for (const id of ids(1000)) attacker.write(headers(id, call, END_STREAM));
      for (let i = 0; i < 3; i++) await victim.ask();
      await attacker.sees(() => answered(attacker) === 1000);
      attacker.socket.destroy();
      return { UNIMPLEMENTED: 1000 };
    });
  });
}
