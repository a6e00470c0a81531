import { Flag, FrameType, preface } from '../../src/engine/http2/frames.ts';
import { SettingId } from '../../src/engine/http2/settings.ts';
import { block } from '../hpack/blocks.ts';
import { frameOf, word } from '../support/http2_peer.ts';
import { type Case, one } from './case.ts';
import { bytes, grow, set, whole } from './frames.ts';

const { END_HEADERS, ACK } = Flag;
const { CONTINUATION, SETTINGS, PING, GOAWAY } = FrameType;

/** Valid and invalid SETTINGS. */
export const settingsFrames: readonly Case[] = [
  ...Object.entries(SettingId).flatMap(([name, id]) =>
    [0, 1, 2, 4096, 16_383, 16_384, 2 ** 24 - 1, 2 ** 24, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1].map(
      (value) => one(`SETTINGS ${name} = ${value}`, set([id, value])),
    ),
  ),
  // RFC 8441 section 3, RFC 9218 section 2.1.
  ...[0x0, 0x7, 0x8, 0x9, 0xffff].flatMap((id) =>
    [0, 1, 2, 2 ** 32 - 1].map((value) =>
      one(`SETTINGS 0x${id.toString(16)} = ${value}`, set([id, value])),
    ),
  ),
  one('SETTINGS ENABLE_CONNECT_PROTOCOL = 1, then 0', block(set([8, 1]), set([8, 0]))),
  one('SETTINGS NO_RFC7540_PRIORITIES = 1, then 0', block(set([9, 1]), set([9, 0]))),
  one('SETTINGS, the same twice', set([4, 10], [4, 20])),
  one('SETTINGS, the second of the same wrong', set([5, 16_384], [5, 1])),
  one('SETTINGS, the same twice, the first invalid', set([5, 1], [5, 16_384])),
  ...[1, 5, 7, 13].map((length) =>
    one(`SETTINGS, ${length} bytes`, frameOf(SETTINGS, 0, 0, Buffer.alloc(length))),
  ),
  one('SETTINGS, ACK, more than there were frames', frameOf(SETTINGS, ACK, 0, Buffer.alloc(0))),
  one('SETTINGS, ACK, 6 bytes', frameOf(SETTINGS, ACK, 0, Buffer.alloc(6))),
  one('SETTINGS, ACK, 1 byte', frameOf(SETTINGS, ACK, 0, Buffer.alloc(1))),
  one('SETTINGS, unknown flags', frameOf(SETTINGS, 0xfe, 0, Buffer.alloc(0))),
  one('SETTINGS, 100 in one frame', set(...Array.from({ length: 100 }, () => [4, 10] as const))),
];

/** Other frames of the connection, and frames that are too large. */
export const connectionFrames: readonly Case[] = [
  ...[0, 7, 9, 16].map((length) =>
    one(`PING, ${length} bytes`, frameOf(PING, 0, 0, Buffer.alloc(length))),
  ),
  one('PING, ACK, 7 bytes', frameOf(PING, ACK, 0, Buffer.alloc(7))),
  one('PING, unknown flags', frameOf(PING, 0xfe, 0, Buffer.alloc(8))),
  ...[0, 7].map((length) =>
    one(`GOAWAY, ${length} bytes`, frameOf(GOAWAY, 0, 0, Buffer.alloc(length))),
  ),
  one('GOAWAY, debug data', frameOf(GOAWAY, 0, 0, Buffer.alloc(20))),
  one('GOAWAY, PROTOCOL_ERROR', frameOf(GOAWAY, 0, 0, block(word(0), word(1)))),
  one('GOAWAY, an unknown code', frameOf(GOAWAY, 0, 0, block(word(0), word(0xdead)))),
  one('GOAWAY, an odd last stream', frameOf(GOAWAY, 0, 0, block(word(7), word(0)))),
  one(
    'GOAWAY twice',
    block(frameOf(GOAWAY, 0, 0, Buffer.alloc(8)), frameOf(GOAWAY, 0, 0, Buffer.alloc(8))),
  ),
  one(
    'GOAWAY twice, the last stream higher',
    block(
      frameOf(GOAWAY, 0, 0, block(word(2), word(0))),
      frameOf(GOAWAY, 0, 0, block(word(4), word(0))),
    ),
  ),
  one(
    'GOAWAY while a stream is open',
    block(whole(1, '/hold'), frameOf(GOAWAY, 0, 0, Buffer.alloc(8))),
  ),
  one('GOAWAY, and a request', block(frameOf(GOAWAY, 0, 0, Buffer.alloc(8)), whole(1)), 1),
  one(
    'a stream identifier with the reserved bit',
    (() => {
      const b = whole(1);
      b[5] = 0x80;
      return b;
    })(),
    1,
  ),
  one(
    'PING with the reserved bit',
    (() => {
      const b = frameOf(PING, 0, 0, Buffer.alloc(8));
      b[5] = 0x80;
      return b;
    })(),
  ),
  ...Object.entries(FrameType).map(([name, type]) =>
    one(
      `${name}, 16385 bytes`,
      frameOf(
        type,
        type === PING || type === SETTINGS || type === GOAWAY ? 0 : END_HEADERS,
        type === PING || type === SETTINGS || type === GOAWAY ? 0 : 1,
        bytes(16_385),
      ),
    ),
  ),
  one('a type that nobody knows, 16384 bytes', frameOf(0xfe, 0, 0, bytes(16_384))),
  one('a type that nobody knows, 16385 bytes', frameOf(0xfe, 0, 0, bytes(16_385))),
  one('a frame header that says 2^24 - 1 bytes', Buffer.from('ffffff00000000000100', 'hex')),
];

/** The first bytes of a connection. */
export const prefaces: readonly Case[] = [
  {
    ...one('no preface, a SETTINGS frame', frameOf(SETTINGS, 0, 0, Buffer.alloc(0))),
    ungreeted: true,
  },
  {
    ...one(
      'a preface with one byte changed',
      block(preface.subarray(0, 23), Buffer.from('x'), frameOf(SETTINGS, 0, 0, Buffer.alloc(0))),
    ),
    ungreeted: true,
  },
  {
    ...one('a preface in lower case', Buffer.from(preface.toString().toLowerCase())),
    ungreeted: true,
  },
  ...(
    [
      ['PING', frameOf(PING, 0, 0, Buffer.alloc(8))],
      ['HEADERS', whole(1)],
      ['SETTINGS, ACK', frameOf(SETTINGS, ACK, 0, Buffer.alloc(0))],
      ['WINDOW_UPDATE', grow(0, 1)],
      ['GOAWAY', frameOf(GOAWAY, 0, 0, Buffer.alloc(8))],
      ['a type that nobody knows', frameOf(0xfe, 0, 0, bytes(5))],
      ['SETTINGS of 5 bytes', frameOf(SETTINGS, 0, 0, bytes(5))],
      ['SETTINGS of stream 1', frameOf(SETTINGS, 0, 1, Buffer.alloc(0))],
      ['PRIORITY', frameOf(2, 0, 1, Buffer.from([0, 0, 0, 0, 1]))],
      ['CONTINUATION', frameOf(CONTINUATION, END_HEADERS, 1, Buffer.alloc(0))],
    ] as const
  ).map(([name, frame]) => ({
    ...one(`first frame ${name}`, block(preface, frame)),
    ungreeted: true,
  })),
  {
    ...one('the preface twice', block(preface, frameOf(SETTINGS, 0, 0, Buffer.alloc(0)), preface)),
    ungreeted: true,
  },
  {
    ...one('an HTTP/1.1 request', Buffer.from('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n')),
    ungreeted: true,
  },
  { ...one('a TLS handshake', Buffer.from('16030100050100000100', 'hex')), ungreeted: true },
  {
    ...one(
      'preface, SETTINGS and a request in one',
      block(preface, frameOf(SETTINGS, 0, 0, Buffer.alloc(0)), whole(1)),
      1,
    ),
    ungreeted: true,
  },
];
