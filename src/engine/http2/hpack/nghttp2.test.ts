import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type ClientHttp2Session, connect } from 'node:http2';
import { test } from 'node:test';
import { createHpackDecoder } from './decoder.ts';
import { encodeHeaders, encodeTableSizeUpdate } from './encoder.ts';
import { type Random, withRandom } from '../../../../test/hpack/random.ts';
import { serveRaw } from '../../../../test/hpack/raw_server.ts';

/** The table sizes that the client announces; undefined for none. */
const tableSizes = [undefined, 0, 100, 65_536];
const listsPerConnection = 4000;
const atOnce = 100;
/** 7 bits each. */
const inThreeFrames = 'y'.repeat(40_000);

for (const headerTableSize of tableSizes) {
  const name = headerTableSize ?? 'as usual';
  test(`the codec and nghttp2 decode each other's headers: table of the client ${name}`, async () => {
    await withRandom(async (random) => {
      const decoder = createHpackDecoder({ maxHeaderListSize: 2 ** 20 });
      const requests: (readonly string[])[] = [];
      const responses: (readonly string[])[] = [];
      await using server = await serveRaw({
        onHeaders(block) {
          requests.push(decoder.decode(block).fields);
          const response = [':status', random.pick(['200', '404', '418']), ...fields(random)];
          if (block.length > inThreeFrames.length / 2) response.push('x-long', inThreeFrames);
          responses.push(response);
          const first = responses.length === 1 ? encodeTableSizeUpdate(0) : Buffer.alloc(0);
          return Buffer.concat([first, encodeHeaders(response)]);
        },
      });
      const session = connect(server.url, {
        // Otherwise nghttp2 uses at most 4096 of the announced size.
        maxDeflateDynamicTableSize: 65_536,
        settings: headerTableSize === undefined ? {} : { headerTableSize },
      });
      await once(session, 'remoteSettings');

      const sent: string[][] = [];
      const received: string[][] = [];
      for (let done = 0; done < listsPerConnection; done += atOnce) {
        const lists = Array.from({ length: atOnce }, () => request(random));
        lists[0]?.push('x-long', inThreeFrames);
        sent.push(...lists);
        received.push(...(await Promise.all(lists.map((list) => ask(session, list)))));
      }
      session.destroy();

      assert.deepEqual(requests, sent);
      assert.deepEqual(received, responses);
      assert.ok(decoder.table.generation > listsPerConnection);
    });
  });
}

/** Sends a request; resolves with the response's headers. */
async function ask(session: ClientHttp2Session, list: string[]): Promise<string[]> {
  const stream = session.request(list, { endStream: true });
  const { promise, resolve, reject } = Promise.withResolvers<string[]>();
  stream.on('response', (_headers, _flags, raw) => resolve(raw)).on('error', reject);
  stream.on('close', () => reject(new Error('there was no response')));
  stream.resume();
  return promise;
}

function request(random: Random): string[] {
  const method = random.pick(['GET', 'POST', 'PATCH']);
  const scheme = random.pick(['http', 'https']);
  const authority = random.pick(['localhost', 'www.example.com', 'x']);
  const path = random.pick(['/', '/index.html', '/echo.Echo/Unary']);
  const pseudo = { ':method': method, ':scheme': scheme, ':authority': authority, ':path': path };
  return [...Object.entries(pseudo).flat(), ...fields(random)];
}

const visible = Array.from({ length: 94 }, (_, i) => String.fromCharCode(0x21 + i)).join('');
const latin = Array.from({ length: 128 }, (_, i) => String.fromCharCode(0x80 + i)).join('');

function fields(random: Random): string[] {
  const list: string[] = [];
  if (random.oneIn(2)) list.push('te', 'trailers');
  if (random.oneIn(2)) list.push('content-type', random.pick(['application/grpc', 'text/html']));
  if (random.oneIn(3)) list.push('user-agent', random.pick(['grpc-node-js/1.14.7', 'curl']));
  if (random.oneIn(8)) list.push('authorization', random.text(40, visible));
  if (random.oneIn(8)) list.push('cookie', random.text(40, visible));
  for (let more = random.below(4); more > 0; more--) {
    const alphabet = random.oneIn(4) ? latin : visible;
    const longest = random.pick([3, 20, 20, 20, 200]);
    list.push(`x-${random.text(2, 'abc')}`, random.text(longest, alphabet));
  }
  return list;
}
