import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { test } from 'node:test';
import { Handshakes } from './handshakes.ts';

/** Handshakes that begin and end when they are told to, and what has become of each. */
function create(max: number) {
  const begun: string[] = [];
  const dropped: string[] = [];
  const names = new Map<Socket, string>();
  const onDrop = (socket: Socket) => dropped.push(names.get(socket) ?? '');
  const handshakes = new Handshakes({ max, onDrop });
  const accept = (name: string) => {
    const socket = new Socket();
    Object.defineProperty(socket, 'remoteAddress', { value: `10.0.0.${name.charCodeAt(0)}` });
    names.set(socket, name);
    handshakes.accept(socket, { begin: () => begun.push(name), waitingForEach: 4 });
    return socket;
  };
  return { accept, begun, dropped, end: (socket: Socket) => handshakes.end(socket) };
}

test('accept() has those wait that are too many, and the address with fewest under way is next', () => {
  const { accept, begun, dropped, end } = create(2);
  const [first, second] = [accept('a1'), accept('a2')];
  accept('a3');
  accept('b1');

  assert.deepEqual(begun, ['a1', 'a2']);
  end(first);
  assert.deepEqual(begun, ['a1', 'a2', 'b1']);
  end(second);
  assert.deepEqual(begun, ['a1', 'a2', 'b1', 'a3']);
  assert.deepEqual(dropped, []);
});

test('accept() drops of those that wait the oldest of the address that has most, or who comes', () => {
  const { accept, begun, dropped, end } = create(1);
  const first = accept('a0');
  for (const name of ['a1', 'a2', 'a3', 'a4']) accept(name);

  accept('a5');
  accept('b1');
  end(first);

  assert.deepEqual(dropped, ['a5', 'a1']);
  assert.deepEqual(begun, ['a0', 'a2']);
});

test('end() forgets one that waits', () => {
  const { accept, begun, end } = create(1);
  const first = accept('a1');
  end(accept('a2'));
  accept('a3');

  end(first);

  assert.deepEqual(begun, ['a1', 'a3']);
});
