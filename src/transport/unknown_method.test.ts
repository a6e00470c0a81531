import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createUnknownMethods } from './unknown_method.ts';

const paths = [
  '/helloworld.Greeter/SayHello',
  '/greet.Greeter/SayHello',
  '/greet.Greeter/InteractingHello',
  '/Hello/Hello',
];

test('createUnknownMethods() names the most similar method of the service', () => {
  const describe = createUnknownMethods(paths);
  const meant: Record<string, string> = {
    '/greet.Greeter/SayHelo': 'SayHello',
    '/greet.Greeter/sayhello': 'SayHello',
    '/greet.Greeter/InteractHello': 'InteractingHello',
  };

  for (const [path, method] of Object.entries(meant)) {
    const nearest = `the nearest is /greet.Greeter/${method}`;
    assert.equal(describe(path), `Cannot find method ${path}; ${nearest}`);
  }
});

test('createUnknownMethods() names the most similar service, and one of that name in another package', () => {
  const describe = createUnknownMethods(paths);
  const meant: Record<string, string> = {
    '/greet.Greter/SayHello': 'greet.Greeter',
    '/GREET.GREETER/SayHello': 'greet.Greeter',
    '/Greeter/SayHello': 'helloworld.Greeter',
    '/Greeter/InteractingHello': 'greet.Greeter',
    '/my.company.v1.Greeter/Sing': 'helloworld.Greeter',
    '/Hallo/Hello': 'Hello',
  };

  for (const [path, nearest] of Object.entries(meant)) {
    const service = path.split('/')[1];
    assert.equal(describe(path), `Cannot find service ${service}; the nearest is ${nearest}`);
  }
});

test('createUnknownMethods() names nothing if nothing is similar', () => {
  const describe = createUnknownMethods(paths);

  assert.equal(describe('/greet.Greeter/Sing'), 'Cannot find method /greet.Greeter/Sing');
  assert.equal(describe('/nobody.Knows/Hello'), 'Cannot find service nobody.Knows');
  for (const path of ['/', '/x', '//', '/greet.Greeter/', '/a/b/c', '(unknown)']) {
    assert.equal(describe(path), `Cannot find method ${path}`);
  }
  assert.equal(createUnknownMethods([])('/a/b'), 'Cannot find service a');
});

test('createUnknownMethods() truncates a path of more than 256 characters, and suggests nothing', () => {
  const describe = createUnknownMethods(paths);

  const long = describe(`/greet.Greeter/SayHelo${'o'.repeat(235)}`);

  assert.equal(long, `Cannot find method /greet.Greeter/SayHelo${'o'.repeat(178)}`);
});

test('createUnknownMethods() describes a path in the same way again, however many others came between', () => {
  const describe = createUnknownMethods(paths);
  const first = describe('/greet.Greeter/SayHelo');

  for (let i = 0; i < 1000; i++) describe(`/x${i}/y`);

  assert.equal(describe('/greet.Greeter/SayHelo'), first);
});
