import { Flag, FrameType, maxInt31 } from '../../src/engine/http2/frames.ts';
import { SettingId } from '../../src/engine/http2/settings.ts';
import { block } from '../hpack/blocks.ts';
import { frameOf } from '../support/http2_peer.ts';
import { type Case, one } from './case.ts';
import { begun, bytes, data, grow, malformed, reset, set, whole } from './frames.ts';

const { END_STREAM } = Flag;
const { PING } = FrameType;

/** A request that is answered early. */
export const early: Case = one('HEADERS to /early → idle', begun(1, '/early'), 1);

/** Order and number of streams (RFC 9113 section 5.1). */
export const order: readonly Case[] = [
  one('streams 1, 3, 5', block(whole(1), whole(3), whole(5)), 1, 3, 5),
  one('stream 7 first, then 9', block(whole(7), whole(9)), 7, 9),
  one('stream 2^31 - 1', whole(maxInt31), maxInt31),
  {
    name: 'a stream after 2^31 - 1',
    flights: [{ bytes: whole(maxInt31), ended: [maxInt31] }, { bytes: whole(1) }],
  },
  {
    name: 'a stream below an open one',
    about: 3,
    flights: [{ bytes: begun(5, '/hold') }, { bytes: whole(3) }],
  },
  {
    name: 'a stream below one that was refused',
    about: 3,
    flights: [
      { bytes: malformed(5), ended: [5] },
      { bytes: whole(3), mayBeAnswered: true },
    ],
  },
  {
    name: 'the same request twice',
    flights: [{ bytes: whole(1), ended: [1] }, { bytes: whole(1) }],
  },
  {
    name: 'as many streams as may be open',
    flights: [{ bytes: block(...Array.from({ length: 10 }, (_, i) => whole(1 + 2 * i, '/hold'))) }],
  },
  {
    name: 'one stream above the limit',
    about: 21,
    flights: [
      { bytes: block(...Array.from({ length: 10 }, (_, i) => whole(1 + 2 * i, '/hold'))) },
      { bytes: whole(21) },
    ],
  },
  {
    name: 'three streams above the limit',
    flights: [
      { bytes: block(...Array.from({ length: 10 }, (_, i) => whole(1 + 2 * i, '/hold'))) },
      { bytes: block(...[21, 23, 25].map((id) => whole(id))) },
    ],
  },
  {
    name: 'DATA for a refused stream',
    about: 21,
    flights: [
      { bytes: block(...Array.from({ length: 10 }, (_, i) => whole(1 + 2 * i, '/hold'))) },
      { bytes: begun(21) },
      { bytes: data(21, 'x', END_STREAM) },
    ],
  },
  {
    name: 'a further stream after one was reset',
    about: 21,
    flights: [
      { bytes: block(...Array.from({ length: 10 }, (_, i) => whole(1 + 2 * i, '/hold'))) },
      { bytes: block(reset(1), whole(21)), ended: [21] },
    ],
  },
];

const large = 16_384;
const full = (id: number) =>
  block(...[large, large, large, 65_535 - 3 * large].map((length) => data(id, bytes(length))));
const { INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE } = SettingId;

/** Windows (section 6.9). */
export const windows: readonly Case[] = [
  one('window of a stream: DATA to its end', block(begun(1), full(1), data(1, '', END_STREAM)), 1),
  {
    name: 'window of the connection: DATA of a stream that was reset counts',
    flights: [{ bytes: block(begun(1, '/hold'), reset(1)) }, { bytes: data(1, 'x') }],
  },
  one('window of the connection: above 2^31 - 1', grow(0, maxInt31)),
  one('window of the connection: to 2^31 - 1', grow(0, maxInt31 - 65_535)),
  one('window of the connection: to 2^31', grow(0, maxInt31 - 65_535 + 1)),
  one('window of a stream: to 2^31 - 1', block(begun(1, '/hold'), grow(1, maxInt31 - 65_535))),
  one('window of a stream: to 2^31', block(begun(1, '/hold'), grow(1, maxInt31 - 65_535 + 1))),
  one(
    'window of a stream: above by INITIAL_WINDOW_SIZE',
    block(begun(1, '/hold'), grow(1, 1), set([INITIAL_WINDOW_SIZE, maxInt31])),
  ),
  one(
    'window of a stream: to 2^31 - 1 by INITIAL_WINDOW_SIZE',
    block(begun(1, '/hold'), set([INITIAL_WINDOW_SIZE, maxInt31])),
  ),
  {
    name: 'window of a stream that was answered early: above',
    flights: [
      { bytes: begun(1, '/early'), ended: [1] },
      { bytes: block(grow(1, 1), set([INITIAL_WINDOW_SIZE, maxInt31])) },
    ],
  },
  {
    name: 'window of a stream: 2^31 - 1, then INITIAL_WINDOW_SIZE one more',
    flights: [
      { bytes: block(begun(1, '/hold'), grow(1, maxInt31 - 65_535)) },
      { bytes: set([INITIAL_WINDOW_SIZE, 65_536]) },
    ],
  },
  {
    name: 'window of a stream: INITIAL_WINDOW_SIZE above and back in one frame',
    flights: [
      { bytes: block(begun(1, '/hold'), grow(1, maxInt31 - 65_535)) },
      { bytes: set([INITIAL_WINDOW_SIZE, 65_536], [INITIAL_WINDOW_SIZE, 65_535]) },
    ],
  },
  one('window of 0: no body', block(set([INITIAL_WINDOW_SIZE, 0]), whole(1, '/10'))),
  {
    name: 'window of 0: grown',
    flights: [
      { bytes: block(set([INITIAL_WINDOW_SIZE, 0]), whole(1, '/10')) },
      { bytes: grow(1, 4), received: [[1, 4]] },
    ],
  },
  {
    name: 'window of 0: grown by SETTINGS',
    flights: [
      { bytes: block(set([INITIAL_WINDOW_SIZE, 0]), whole(1, '/10')) },
      { bytes: set([INITIAL_WINDOW_SIZE, 10]), ended: [1] },
    ],
  },
  {
    name: 'window of 10: what comes',
    flights: [
      { bytes: block(set([INITIAL_WINDOW_SIZE, 10]), whole(1, '/100')), received: [[1, 10]] },
    ],
  },
  {
    name: 'window below 0: it has to be made up for',
    flights: [
      { bytes: block(set([INITIAL_WINDOW_SIZE, 100]), whole(1, '/200')), received: [[1, 100]] },
      { bytes: block(set([INITIAL_WINDOW_SIZE, 0]), grow(1, 99)) },
      { bytes: grow(1, 1 + 5), received: [[1, 5]] },
    ],
  },
  {
    name: 'window of the connection: what comes',
    flights: [
      {
        bytes: block(set([INITIAL_WINDOW_SIZE, 1e6]), whole(1, '/100000')),
        received: [[1, 65_535]],
      },
    ],
  },
  {
    name: 'window of the connection: grown',
    flights: [
      {
        bytes: block(set([INITIAL_WINDOW_SIZE, 1e6]), whole(1, '/100000')),
        received: [[1, 65_535]],
      },
      { bytes: grow(0, 1e6), ended: [1] },
    ],
  },
  {
    name: 'window of 0: a reset',
    flights: [
      { bytes: block(set([INITIAL_WINDOW_SIZE, 0]), whole(1, '/10')) },
      { bytes: block(reset(1), grow(1, 10)) },
    ],
  },
  {
    name: 'window of 0: a response without a body',
    flights: [{ bytes: block(set([INITIAL_WINDOW_SIZE, 0]), whole(1, '/0')), mayBeAnswered: true }],
  },
  {
    name: 'MAX_FRAME_SIZE of 20000',
    flights: [{ bytes: block(set([MAX_FRAME_SIZE, 20_000]), whole(1, '/19000')), ended: [1] }],
  },
  {
    name: 'window of a stream: grown by 0 while its answer waits',
    flights: [
      { bytes: block(set([INITIAL_WINDOW_SIZE, 0]), whole(1, '/10')) },
      { bytes: grow(1, 0) },
    ],
  },
  {
    name: 'DATA beyond the window of a stream',
    flights: [{ bytes: block(begun(1, '/hold')) }, { bytes: block(full(1), full(1)) }],
  },
  {
    name: 'WINDOW_UPDATE of a stream that is over, above 2^31 - 1',
    flights: [
      { bytes: whole(1), ended: [1] },
      { bytes: block(grow(1, maxInt31), grow(1, maxInt31)) },
    ],
  },
];

/** A client that ends its side. */
export const leaving: readonly Case[] = [
  {
    name: 'the client ends its side: after its greeting',
    flights: [{ bytes: Buffer.alloc(0), unfinished: true }],
    finished: true,
  },
  { ...one('the client ends its side: after a request', whole(1), 1), finished: true },
  {
    name: 'the client ends its side: inside a frame',
    flights: [{ bytes: frameOf(PING, 0, 0, bytes(8)).subarray(0, 12), unfinished: true }],
    finished: true,
  },
  { ...one('the client ends its side: a stream is open', begun(1, '/hold')), finished: true },
];
