import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createUnknownMethods } from './unknown_method.ts';

const paths = [
  '/radio.Speaker/SendLine',
  '/voice.Speaker/SendLine',
  '/voice.Speaker/ExchangingLines',
  '/Piano/Play',
];

test('createUnknownMethods() names the most similar method of the service', () => {
  const describe = createUnknownMethods(paths);
  const meant: Record<string, string> = {
    '/voice.Speaker/SendLne': 'SendLine',
    '/voice.Speaker/sendline': 'SendLine',
    '/voice.Speaker/ExchangeLines': 'ExchangingLines',
  };

  for (const [path, method] of Object.entries(meant)) {
    const nearest = `the nearest is /voice.Speaker/${method}`;
    assert.equal(describe(path), `Cannot find method ${path}; ${nearest}`);
  }
});

test('createUnknownMethods() names the most similar service, and one of that name in another package', () => {
  const describe = createUnknownMethods(paths);
  const meant: Record<string, string> = {
    '/voice.Speker/SendLine': 'voice.Speaker',
    '/VOICE.SPEAKER/SendLine': 'voice.Speaker',
    '/Speaker/SendLine': 'radio.Speaker',
    '/Speaker/ExchangingLines': 'voice.Speaker',
    '/my.company.v1.Speaker/Sing': 'radio.Speaker',
    '/Pieno/Play': 'Piano',
  };

  for (const [path, nearest] of Object.entries(meant)) {
    const service = path.split('/')[1];
    assert.equal(describe(path), `Cannot find service ${service}; the nearest is ${nearest}`);
  }
});

test('createUnknownMethods() names nothing if nothing is similar', () => {
  const describe = createUnknownMethods(paths);

  assert.equal(describe('/voice.Speaker/Sing'), 'Cannot find method /voice.Speaker/Sing');
  assert.equal(describe('/nobody.Knows/Play'), 'Cannot find service nobody.Knows');
  for (const path of ['/', '/x', '//', '/voice.Speaker/', '/a/b/c', '(unknown)']) {
    assert.equal(describe(path), `Cannot find method ${path}`);
  }
  assert.equal(createUnknownMethods([])('/a/b'), 'Cannot find service a');
});

test('createUnknownMethods() truncates a path of more than 256 characters, and suggests nothing', () => {
  const describe = createUnknownMethods(paths);

  const long = describe(`/voice.Speaker/SendLne${'o'.repeat(235)}`);

  assert.equal(long, `Cannot find method /voice.Speaker/SendLne${'o'.repeat(178)}`);
});

test('createUnknownMethods() describes a path in the same way again, however many others came between', () => {
  const describe = createUnknownMethods(paths);
  const first = describe('/voice.Speaker/SendLne');

  for (let i = 0; i < 1000; i++) describe(`/x${i}/y`);

  assert.equal(describe('/voice.Speaker/SendLne'), first);
});
