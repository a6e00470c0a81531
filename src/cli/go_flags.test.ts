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

test('parseGoFlags() reads values after "=" and from the next argument, whatever it is', () => {
  assert.deepEqual(read(''), empty);
  for (const line of ['-addr x', '--addr x', '-addr=x', '--addr=x', '-addr=y -addr x']) {
    assert.deepEqual(read(line), { ...empty, flags: { addr: 'x' } }, line);
  }
  assert.deepEqual(read('-addr= -v'), { ...empty, flags: { addr: '', v: true } });
  assert.deepEqual(read('-addr a=b=c'), { ...empty, flags: { addr: 'a=b=c' } });
  assert.deepEqual(read('-addr -tls'), { ...empty, flags: { addr: '-tls' } });
});

test('parseGoFlags() keeps every value of a repeated flag', () => {
  const lists = { 'rpc-header': ['a:1', '', 'b:2'] };

  assert.deepEqual(read('-rpc-header a:1 -rpc-header= --rpc-header=b:2'), { ...empty, lists });
});

test('parseGoFlags() accepts a switch alone and with a boolean', () => {
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

test('parseGoFlags() stops at the first operand, such as in `-tls false`', () => {
  const flags = { tls: true };

  assert.deepEqual(read('-tls false -nope'), { ...empty, flags, operands: ['false', '-nope'] });
  assert.deepEqual(read('-tls -- -v'), { ...empty, flags, operands: ['-v'] });
  assert.deepEqual(read('-tls - -v'), { ...empty, flags, operands: ['-', '-v'] });
});

test('parseGoFlags() reports all errors', () => {
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

test('parseGoFlags() returns the help that arguments ask for', () => {
  for (const line of ['-h', '--help', '-help', '-tls -h', '-nope -h'])
    assert.equal(read(line), 'help');
  assert.deepEqual(read('-addr -h'), { ...empty, flags: { addr: '-h' } });
});
