import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bundleSizes, growthOf } from '../release/bundle_growth.ts';

test('bundleSizes() sums up the bytes of each package, and of each folder of src', () => {
  const inputs = {
    'src/main.ts': 10,
    'src/cli/serve.ts': 20,
    'src/cli/guide.ts': 5,
    'node_modules/pino/lib/a.js': 100,
    'node_modules/@grpc/grpc-js/build/src/b.js': 200,
    '../elsewhere/node_modules/@grpc/grpc-js/build/src/c.js': 1,
    'node_modules/unused/index.js': 0,
  };
  const output = {
    entryPoint: 'src/main.ts',
    inputs: Object.fromEntries(
      Object.entries(inputs).map(([file, bytesInOutput]) => [file, { bytesInOutput }]),
    ),
    bytes: 0,
    imports: [],
    exports: [],
  };

  assert.deepEqual(bundleSizes({ inputs: {}, outputs: { 'dist/a.mjs': output } }), {
    '@grpc/grpc-js': 201,
    pino: 100,
    'src/cli': 25,
    'src/main.ts': 10,
  });
});

test('growthOf() names what has grown most, and nothing if growth is small', () => {
  const recorded = { a: 500, b: 500 };

  assert.equal(growthOf({ a: 510, b: 510 }, recorded), undefined);
  assert.equal(
    growthOf({ a: 510, b: 400, c: 200 }, recorded),
    'the bundle has grown from 1000 to 1110 bytes: c by 200, a by 10',
  );
});
