import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { duplexPair } from 'node:stream';
import { text } from 'node:stream/consumers';
import { suite, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { ErrorCode } from '../../src/engine/http2/errors.ts';
import { createRandom, type Random } from '../hpack/random.ts';
import { type Attacker, attackPlain, attackTls, flood, greeting } from './attacker.ts';
import { echo, product, type Target } from './targets.ts';
import { startVictim, type Victim } from './victim.ts';

for (const target of [echo, product]) {
  const victim = await startVictim(target);
  void suite(`against ${target.name}`, () => attack(victim, target));
}

function attack(victim: Victim, target: Target): void {
  const http1 = Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');

  /** Sends bytes on three connections; returns the error code that each got. */
  async function sayTo(connect: () => Attacker, said: Buffer) {
    const codes: (number | undefined)[] = [];
    for (let peer = 0; peer < 3; peer++) {
      const attacker = connect();
      attacker.write(said);
      await victim.ask();
      codes.push(await attacker.cutOff());
    }
    return codes;
  }
  const protocolErrors = [1, 1, 1].map(() => ErrorCode.PROTOCOL_ERROR);
  const noWord = [undefined, undefined, undefined];

  test('TLS on a plaintext port is closed', async () => {
    const [ours, theirs] = duplexPair();
    const client = connectTls({ socket: ours }).on('error', () => {});
    const [hello] = await once(theirs, 'data');
    client.destroy();

    await victim.survives(async () => {
      assert.deepEqual(await sayTo(() => attackPlain(victim), hello), noWord);
    });
  });

  /** Sends bytes three times; returns the first lines of the answers. */
  async function answersTo(said: Buffer, connect: () => Socket): Promise<string[]> {
    const answers: string[] = [];
    for (let peer = 0; peer < 3; peer++) {
      const socket = connect();
      socket.write(said);
      await victim.ask();
      answers.push((await text(socket)).split('\r\n')[0] ?? '');
    }
    return answers;
  }
  // The echo sends no answer to such a client.
  const badRequests = Array(3).fill(target === product ? 'HTTP/1.1 400 Bad Request' : '');

  test('HTTP/1.1 on a plaintext port is answered, and closed', async () => {
    await victim.survives(async () => {
      const answers = await answersTo(http1, () => connect(victim.plain, '127.0.0.1'));
      assert.deepEqual(answers, badRequests);
    });
  });

  test('HTTP/1.1 inside TLS is answered, and closed', async () => {
    await victim.survives(async () => {
      const answers = await answersTo(http1, () =>
        connectTls({ port: victim.tls, host: '127.0.0.1', rejectUnauthorized: false }),
      );
      assert.deepEqual(answers, badRequests);
    });
  });

  test('a TLS handshake with ALPN http/1.1 fails', async () => {
    await victim.survives(async () => {
      for (let peer = 0; peer < 3; peer++) {
        const { socket } = attackTls(victim, ['http/1.1']);
        const [error] = await once(socket, 'error');
        await victim.ask();
        assert.equal(error.code, 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL');
      }
    });
  });

  test('plaintext on a TLS port is closed', async () => {
    for (const said of [http1, greeting()]) {
      await victim.survives(async () => {
        const toTls = () => attackPlain({ ...victim, plain: victim.tls });
        assert.deepEqual(await sayTo(toTls, said), noWord);
      });
    }
  });

  for (const seed of target === echo ? [1, 2, 3] : [4]) {
    const bytes = (random: Random) =>
      Buffer.from(Array.from({ length: 3000 }, () => random.below(256)));

    test(`random bytes end with PROTOCOL_ERROR (seed ${seed})`, async () => {
      const said = bytes(createRandom(seed));
      await victim.survives(async () => {
        assert.deepEqual(await sayTo(() => attackPlain(victim), said), protocolErrors);
        assert.deepEqual(await sayTo(() => attackTls(victim, ['h2']), said), protocolErrors);
      });
    });

    test(`random bytes as frames end with an error (seed ${seed})`, async () => {
      await victim.survives(async () => {
        const random = createRandom(seed);
        for (let peer = 0; peer < 10; peer++) {
          const attacker = attackPlain(victim);
          attacker.write(greeting());
          const code = await flood(victim, attacker, () => bytes(random));
          assert.ok(code, `peer ${peer} got ${code}`);
        }
      });
    });

    test(`random bytes on a TLS port are closed (seed ${seed})`, async () => {
      const said = bytes(createRandom(seed));
      await victim.survives(async () => {
        const toTls = () => attackPlain({ ...victim, plain: victim.tls });
        assert.deepEqual(await sayTo(toTls, said), noWord);
      });
    });
  }
}
