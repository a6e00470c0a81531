import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { test } from 'node:test';
import { Handshakes } from './handshakes.ts';

/** Handshakes that the test begins and ends, and their results. */
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

test('accept() queues sockets above the limit, and begins that of the address with the fewest handshakes next', () => {
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

test('accept() drops the oldest queued socket of the address with the most, or the new one', () => {
  const { accept, begun, dropped, end } = create(1);
  const first = accept('a0');
  for (const name of ['a1', 'a2', 'a3', 'a4']) accept(name);

  accept('a5');
  accept('b1');
  end(first);

  assert.deepEqual(dropped, ['a5', 'a1']);
  assert.deepEqual(begun, ['a0', 'a2']);
});

test('end() removes a queued socket', () => {
  const { accept, begun, end } = create(1);
  const first = accept('a1');
  end(accept('a2'));
  accept('a3');

  end(first);

  assert.deepEqual(begun, ['a1', 'a3']);
});
