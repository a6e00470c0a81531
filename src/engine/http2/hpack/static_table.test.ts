import assert from 'node:assert/strict';
import { test } from 'node:test';
import { staticIndex, staticNameIndex, staticTable } from './static_table.ts';

test('staticTable has the 61 entries of RFC 7541', () => {
  assert.equal(staticTable.length, 61);
  assert.deepEqual(staticTable[0], { name: ':authority', value: '' });
  assert.deepEqual(staticTable[15], { name: 'accept-encoding', value: 'gzip, deflate' });
  assert.deepEqual(staticTable[60], { name: 'www-authenticate', value: '' });
});

test('staticIndex() finds every entry, and no other value or name', () => {
  staticTable.forEach(({ name, value }, at) => assert.equal(staticIndex(name, value), at + 1));

  assert.equal(staticIndex(':method', 'PUT'), 0);
  assert.equal(staticIndex('x-method', 'GET'), 0);
});

test('staticNameIndex() finds the first entry of every name, and no other name', () => {
  for (const { name } of staticTable) {
    const first = staticTable.findIndex((field) => field.name === name) + 1;
    assert.equal(staticNameIndex(name), first);
  }

  assert.equal(staticNameIndex('grpc-status'), 0);
  assert.equal(staticNameIndex('constructor'), 0);
});
