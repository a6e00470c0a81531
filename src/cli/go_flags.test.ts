import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseGoFlags } from './go_flags.ts';

const known = [
  { name: 'addr', value: 'HOST:PORT', help: '' },
  { name: 'rpc-header', value: 'NAME:VALUE', repeats: true, help: '' },
  { name: 'tls', help: '' },
  { name: 'v', help: '' },
];

const empty = { flags: {}, lists: {}, operands: [], problems: [] };
const read = (line: string) => parseGoFlags(known, line === '' ? [] : line.split(' '));

test('parseGoFlags() reads values after "=" or as the next argument, whatever that is', () => {
  assert.deepEqual(read(''), empty);
  for (const line of ['-addr x', '--addr x', '-addr=x', '--addr=x', '-addr=y -addr x']) {
    assert.deepEqual(read(line), { ...empty, flags: { addr: 'x' } }, line);
  }
  assert.deepEqual(read('-addr= -v'), { ...empty, flags: { addr: '', v: true } });
  assert.deepEqual(read('-addr a=b=c'), { ...empty, flags: { addr: 'a=b=c' } });
  assert.deepEqual(read('-addr -tls'), { ...empty, flags: { addr: '-tls' } });
});

test('parseGoFlags() keeps every value of a flag that repeats', () => {
  const lists = { 'rpc-header': ['a:1', '', 'b:2'] };

  assert.deepEqual(read('-rpc-header a:1 -rpc-header= --rpc-header=b:2'), { ...empty, lists });
});

test('parseGoFlags() takes a switch alone or with a word for true or false', () => {
  for (const word of ['1', 't', 'T', 'true', 'TRUE', 'True']) {
    assert.deepEqual(read(`-tls=${word}`), { ...empty, flags: { tls: true } }, word);
  }
  for (const word of ['0', 'f', 'F', 'false', 'FALSE', 'False']) {
    assert.deepEqual(read(`-tls -tls=${word}`), { ...empty, flags: { tls: undefined } }, word);
  }
  for (const word of ['', 'yes', 'tRUE']) {
    const problems = [`--tls "${word}": must be true or false`];
    assert.deepEqual(read(`-tls=${word}`), { ...empty, problems }, word);
  }
});

test('parseGoFlags() ends where something else comes first: `-tls false` is such a case', () => {
  const flags = { tls: true };

  assert.deepEqual(read('-tls false -nope'), { ...empty, flags, operands: ['false', '-nope'] });
  assert.deepEqual(read('-tls -- -v'), { ...empty, flags, operands: ['-v'] });
  assert.deepEqual(read('-tls - -v'), { ...empty, flags, operands: ['-', '-v'] });
});

test('parseGoFlags() names all that is wrong', () => {
  assert.deepEqual(read('-nope 1 ---addr -=x -nope=y --tls -addr'), {
    ...empty,
    flags: { tls: true },
    problems: [
      '-nope: unknown flag',
      '---addr: unknown flag; the nearest is --addr',
      '-=x: unknown flag',
      '-nope=y: unknown flag',
      '--addr: needs a value',
    ],
  });
});

test('parseGoFlags() gives help to who asks for it', () => {
  for (const line of ['-h', '--help', '-help', '-tls -h', '-nope -h'])
    assert.equal(read(line), 'help');
  assert.deepEqual(read('-addr -h'), { ...empty, flags: { addr: '-h' } });
});
