import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addresses } from './addresses.ts';
import { type Lookup, type Places, resolvePlaces } from './listening.ts';

/** A machine whose localhost has two addresses. */
const lookup: Lookup = async (name) => {
  if (name === 'localhost') return ['127.0.0.1', '::1', '127.0.0.1'];
  if (name === 'here') return ['10.0.0.1'];
  throw new Error(`getaddrinfo ENOTFOUND ${name}`);
};

/** The addresses of three settings; an empty one disables listening. */
function places(listen: string, health = '', admin = ''): Places {
  return {
    listen: addresses(listen),
    healthListen: health === '' ? [] : addresses(health),
    adminListen: admin === '' ? undefined : addresses(admin),
  };
}

test('resolvePlaces() resolves a name to all of its addresses, without duplicates', async () => {
  const { listen, adminListen, problems } = await resolvePlaces(
    places('localhost:1,127.0.0.1:2,[::1]:2,unix:a'),
    lookup,
  );

  assert.deepEqual(listen, [
    { text: 'localhost:1', host: 'localhost', hosts: ['127.0.0.1', '::1'], port: 1 },
    ...addresses('127.0.0.1:2,[::1]:2,unix:a'),
  ]);
  assert.equal(adminListen, undefined);
  assert.deepEqual(problems, []);
});

test('resolvePlaces() rejects names that resolve to a used address, in one list or two', async () => {
  const cases: [Places, string[]][] = [
    [
      places('localhost:1,127.0.0.1:1'),
      ['--listen "127.0.0.1:1": must not overlap "localhost:1" of --listen'],
    ],
    [
      places('0.0.0.0:1', 'localhost:1'),
      ['--health-listen "localhost:1": must not overlap "0.0.0.0:1" of --listen'],
    ],
    [
      places('[::1]:1', '', 'localhost:1'),
      ['--admin-listen "localhost:1": must not overlap "[::1]:1" of --listen'],
    ],
    [places('here:1', '', '10.0.0.2:1,localhost:1'), []],
    [places('localhost:0,127.0.0.1:0'), []],
  ];

  for (const [given, expected] of cases) {
    const { problems } = await resolvePlaces(given, lookup);
    assert.deepEqual(problems, expected);
  }
});

test('resolvePlaces() reports every name that cannot be resolved', async () => {
  const { problems } = await resolvePlaces(places('a..b:1,localhost:2', 'nowhere:3'), lookup);

  assert.deepEqual(problems, [
    '--listen "a..b:1": must have a name that is known: getaddrinfo ENOTFOUND a..b',
    '--health-listen "nowhere:3": must have a name that is known: getaddrinfo ENOTFOUND nowhere',
  ]);
});

test("resolvePlaces() uses the system's resolver, which knows localhost and short addresses", async () => {
  const { listen } = await resolvePlaces(places('localhost:1,127.2:1'));

  const [localhost, short] = listen.map((address) => ('hosts' in address ? address.hosts : []));
  assert.ok(localhost?.some((host) => host === '127.0.0.1' || host === '::1'));
  assert.deepEqual(short, ['127.0.0.2']);
});
