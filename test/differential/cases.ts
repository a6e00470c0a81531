import { Flag, FrameType } from '../../src/engine/http2/frames.ts';
import { encodeHeaders } from '../../src/engine/http2/hpack/encoder.ts';
import { block } from '../hpack/blocks.ts';
import { frameOf } from '../support/http2_peer.ts';
import { type Case, one } from './case.ts';
import { connectionFrames, prefaces, settingsFrames } from './connection_cases.ts';
import { begun, headers, malformed, requestFields, reset, streamFrames, whole } from './frames.ts';
import { contentLengths, continuations, hpack, trailers } from './header_cases.ts';
import type { Flight } from './play.ts';
import { requestFrames } from './request_frames.ts';
import { early, leaving, order, windows } from './stream_cases.ts';

const { END_STREAM } = Flag;
const { HEADERS, PING } = FrameType;

/** A state of RFC 9113 section 5.1, and the flights that lead to it. */
interface State {
  name: string;
  id: number;
  flights: readonly Flight[];
}

/** All states of a stream that a server may treat differently. */
export const states: readonly State[] = [
  { name: 'the connection', id: 0, flights: [] },
  { name: 'idle', id: 1, flights: [] },
  { name: 'even-numbered', id: 2, flights: [] },
  { name: 'skipped', id: 3, flights: [{ bytes: whole(5), ended: [5] }] },
  { name: 'open', id: 1, flights: [{ bytes: begun(1, '/hold') }] },
  {
    name: 'half-closed (remote)',
    id: 1,
    flights: [{ bytes: whole(1, '/hold') }],
  },
  {
    name: 'half-closed (remote) by trailers',
    id: 1,
    flights: [{ bytes: block(begun(1, '/hold'), headers(1, ['x', 'x'], END_STREAM)) }],
  },
  { name: 'closed', id: 1, flights: [{ bytes: whole(1), ended: [1] }] },
  {
    name: 'reset by the client',
    id: 1,
    flights: [{ bytes: begun(1, '/hold') }, { bytes: reset(1) }],
  },
  {
    name: 'reset by the server',
    id: 1,
    flights: [{ bytes: block(begun(1, '/hold'), malformed(1)), ended: [1] }],
  },
  // Two kinds, which Go distinguishes.
  {
    name: 'malformed by a bad field',
    id: 1,
    flights: [{ bytes: malformed(1), ended: [1] }],
  },
  {
    name: 'malformed by a missing field',
    id: 1,
    flights: [{ bytes: headers(1, requestFields('/').slice(2), END_STREAM), ended: [1] }],
  },
  {
    name: 'answered early',
    id: 1,
    flights: [{ bytes: begun(1, '/early'), ended: [1] }],
  },
];

const crossed: readonly Case[] = states.flatMap((state) =>
  streamFrames.map((frame) => ({
    name: `${frame.name} → ${state.name}`,
    about: state.id,
    flights: [
      ...state.flights,
      {
        bytes: frame.of(state.id),
        ended: frame.answered && state.name === 'idle' ? [state.id] : [],
        mayBeAnswered: frame.answered === true && state.name.startsWith('refused'),
      },
    ],
  })),
);

/** Every frame inside a header block, where only CONTINUATION is allowed (section 6.10). */
const insideBlock: readonly Case[] = [
  ...streamFrames.flatMap((frame) =>
    [1, 3].map((id) => ({
      name: `${frame.name} → in a header block of ${id === 1 ? 'its own' : 'another stream'}`,
      flights: [
        {
          bytes: block(
            frameOf(HEADERS, 0, 1, encodeHeaders(requestFields('/')).subarray(0, 4)),
            frame.of(id),
          ),
        },
      ],
    })),
  ),
  one(
    'PING of the connection in a header block',
    block(frameOf(HEADERS, 0, 1, Buffer.alloc(0)), frameOf(PING, 0, 0, Buffer.alloc(8))),
  ),
];

/** All cases, with unique names. */
export const cases: readonly Case[] = [
  ...crossed,
  ...insideBlock,
  ...settingsFrames,
  ...connectionFrames,
  ...prefaces,
  early,
  ...order,
  ...continuations,
  ...hpack,
  ...requestFrames.map(({ name, of }) => one(name, of(1), 1)),
  ...trailers,
  ...contentLengths,
  ...windows,
  ...leaving,
];
