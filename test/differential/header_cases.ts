import { Flag, FrameType } from '../../src/engine/http2/frames.ts';
import { encodeHeaders } from '../../src/engine/http2/hpack/encoder.ts';
import { block, field, huffman, huffmanOctets, insert, plain, resize } from '../hpack/blocks.ts';
import { frameOf, word } from '../support/http2_peer.ts';
import { type Case, one } from './case.ts';
import { begun, data, headers, requestFields, reset, whole } from './frames.ts';

const { END_STREAM, END_HEADERS, PADDED, PRIORITY } = Flag;
const { HEADERS, CONTINUATION } = FrameType;

const request = encodeHeaders(requestFields('/'));
const first = (flags = END_STREAM, part = request.subarray(0, 4)) =>
  frameOf(HEADERS, flags, 1, part);
const next = (part: Buffer, flags = 0, id = 1) => frameOf(CONTINUATION, flags, id, part);

/** Header blocks in several frames (RFC 9113 section 6.10). */
export const continuations: readonly Case[] = [
  one(
    'a block in frames of one byte',
    block(
      first(END_STREAM, request.subarray(0, 1)),
      ...Array.from(request.subarray(1), (_, i) =>
        next(request.subarray(i + 1, i + 2), i === request.length - 2 ? END_HEADERS : 0),
      ),
    ),
    1,
  ),
  one(
    'CONTINUATION after END_HEADERS',
    block(
      frameOf(HEADERS, END_HEADERS, 1, encodeHeaders(requestFields('/hold'))),
      next(Buffer.alloc(0), END_HEADERS),
    ),
  ),
  {
    name: 'CONTINUATION after CONTINUATION with END_HEADERS',
    flights: [
      { bytes: block(first(), next(request.subarray(4), END_HEADERS)), ended: [1] },
      { bytes: next(Buffer.alloc(0), END_HEADERS) },
    ],
  },
  one('CONTINUATION of another stream', block(first(), next(request.subarray(4), END_HEADERS, 3))),
  one('CONTINUATION of stream 0', block(first(), next(request.subarray(4), END_HEADERS, 0))),
  one(
    'CONTINUATION, unknown flags',
    block(first(), next(request.subarray(4), END_HEADERS | 0xfb)),
    1,
  ),
  one(
    'CONTINUATION, PADDED means nothing',
    block(first(), next(request.subarray(4), END_HEADERS | PADDED)),
    1,
  ),
  one(
    '20 empty CONTINUATION frames',
    block(
      first(),
      ...Array.from({ length: 20 }, () => next(Buffer.alloc(0))),
      next(request.subarray(4), END_HEADERS),
    ),
    1,
  ),
  one(
    'trailers in CONTINUATION',
    block(
      begun(1),
      frameOf(HEADERS, END_STREAM, 1, Buffer.alloc(0)),
      next(encodeHeaders(['x', 'y']), END_HEADERS),
    ),
    1,
  ),
  {
    name: 'the client ends its side: inside a header block',
    flights: [{ bytes: first(), unfinished: true }],
    finished: true,
  },
  one(
    'HEADERS, padded, and CONTINUATION',
    block(
      frameOf(
        HEADERS,
        END_STREAM | PADDED,
        1,
        block(Buffer.from([2]), request.subarray(0, 4), Buffer.alloc(2)),
      ),
      next(request.subarray(4), END_HEADERS),
    ),
    1,
  ),
];

const literal = block(
  plain(':method', 'POST'),
  plain(':scheme', 'http'),
  plain(':authority', 'localhost'),
  plain(':path', '/'),
);
const send = (id: number, ...parts: Buffer[]) =>
  frameOf(HEADERS, END_HEADERS | END_STREAM, id, block(...parts));

/** Invalid header blocks, and blocks after them (RFC 7541). */
export const hpack: readonly Case[] = [
  one('HPACK, index 0', send(1, literal, Buffer.from([0x80])), 1),
  one('HPACK, index 62 of an empty table', send(1, literal, field(62)), 1),
  one('HPACK, the name of index 62 of an empty table', send(1, literal, plain(62, 'x')), 1),
  one('HPACK, an index of 2^32', send(1, literal, Buffer.from('ff81ffffff0f', 'hex')), 1),
  one(
    'HPACK, an integer that never ends',
    send(1, literal, Buffer.from('ffffffffffffffffffffffffffff', 'hex')),
    1,
  ),
  one(
    'HPACK, an integer with ten zero octets',
    send(1, literal, Buffer.from('7f8080808080808080808000', 'hex')),
    1,
  ),
  one('HPACK, an integer cut short', send(1, literal, Buffer.from([0xff])), 1),
  one('HPACK, a literal cut short', send(1, literal, Buffer.from([0x00, 0x05, 0x61])), 1),
  one('HPACK, a literal without a value', send(1, literal, Buffer.from([0x00, 0x01, 0x61])), 1),
  one('HPACK, an empty name', send(1, literal, Buffer.from([0x00, 0x00, 0x01, 0x61])), 1),
  one(
    'HPACK, Huffman with EOS',
    send(1, literal, plain('x', huffmanOctets(Buffer.from('ffffffff', 'hex')))),
    1,
  ),
  one(
    'HPACK, Huffman, padding of 8 bits',
    send(1, literal, plain('x', huffmanOctets(Buffer.from('1fff', 'hex')))),
    1,
  ),
  one(
    'HPACK, Huffman, padding of 0',
    send(1, literal, plain('x', huffmanOctets(Buffer.from('18', 'hex')))),
    1,
  ),
  one('HPACK, Huffman of nothing', send(1, literal, plain('x', huffmanOctets(Buffer.alloc(0)))), 1),
  one('HPACK, Huffman', send(1, literal, plain('x', huffman('some value'))), 1),
  one('HPACK, size update at the beginning', send(1, resize(100), literal), 1),
  one('HPACK, two size updates at the beginning', send(1, resize(0), resize(4096), literal), 1),
  one(
    'HPACK, three size updates at the beginning',
    send(1, resize(0), resize(100), resize(4096), literal),
    1,
  ),
  one('HPACK, size update above the limit', send(1, resize(4097), literal), 1),
  one('HPACK, size update after a field', send(1, literal, resize(100)), 1),
  one('HPACK, size update alone', send(1, resize(100))),
  one('HPACK, size update in trailers', block(begun(1), send(1, resize(100), plain('x', 'x'))), 1),
  one('HPACK, an entry larger than the table', send(1, literal, insert('x', 'y'.repeat(5000))), 1),
  {
    name: 'HPACK, an index after an entry larger than the table',
    about: 3,
    flights: [
      { bytes: send(1, literal, insert('a', 'b'), insert('x', 'y'.repeat(5000))), ended: [1] },
      { bytes: send(3, literal, field(62)), ended: [3] },
    ],
  },
  {
    name: 'HPACK, an index into the table',
    about: 3,
    flights: [
      { bytes: send(1, literal, insert('a', 'b')), ended: [1] },
      { bytes: send(3, literal, field(62)), ended: [3] },
    ],
  },
  {
    name: 'HPACK, the index behind the last',
    about: 3,
    flights: [
      { bytes: send(1, literal, insert('a', 'b')), ended: [1] },
      { bytes: send(3, literal, field(63)), ended: [3] },
    ],
  },
  {
    name: 'HPACK, an index after the table was emptied',
    about: 3,
    flights: [
      { bytes: send(1, literal, insert('a', 'b')), ended: [1] },
      { bytes: send(3, resize(0), literal, field(62)), ended: [3] },
    ],
  },
  {
    name: 'HPACK, an index after a request that was malformed',
    about: 3,
    flights: [
      { bytes: send(1, literal, insert('Upper', 'b'), insert('a', 'b')), ended: [1] },
      { bytes: send(3, literal, field(62)), ended: [3] },
    ],
  },
  {
    name: 'HPACK, an index after a stream that was refused',
    about: 23,
    flights: [
      { bytes: block(...Array.from({ length: 10 }, (_, i) => whole(1 + 2 * i, '/hold'))) },
      { bytes: block(send(21, literal, insert('a', 'b')), reset(1)) },
      { bytes: send(23, literal, field(62)), ended: [23] },
    ],
  },
  {
    name: 'HPACK, an index that eviction took',
    about: 3,
    flights: [
      { bytes: send(1, literal, insert('a', 'b'), insert('x', 'y'.repeat(4050))), ended: [1] },
      { bytes: send(3, literal, field(63)), ended: [3] },
    ],
  },
  one('HPACK, never indexed', send(1, literal, Buffer.from('1001610162', 'hex')), 1),
  {
    name: 'HPACK, a list of 40000 bytes from the table',
    about: 3,
    flights: [
      { bytes: send(1, request, insert('x', 'y'.repeat(3900))), ended: [1] },
      { bytes: send(3, request, ...Array.from({ length: 10 }, () => field(62))), ended: [3] },
    ],
  },
  one('HPACK, an error in trailers', block(begun(1), send(1, field(62))), 1),
  {
    name: 'HPACK, an error in a block for a closed stream',
    flights: [{ bytes: block(begun(1, '/hold'), reset(1)) }, { bytes: send(1, field(62)) }],
  },
  {
    name: 'HPACK, an error in a block of an even stream',
    flights: [{ bytes: send(2, field(62)) }],
  },
  {
    name: 'HPACK, an error in a block with a dependency on itself',
    flights: [
      {
        bytes: frameOf(
          HEADERS,
          END_HEADERS | END_STREAM | PRIORITY,
          1,
          block(word(1), Buffer.from([1]), field(62)),
        ),
      },
    ],
  },
];

const withTrailers = (name: string, fields: readonly string[], flags: number = END_STREAM) =>
  one(
    `trailers: ${name}`,
    block(begun(1), data(1, 'abc'), headers(1, fields, flags)),
    ...(flags ? [1] : []),
  );

/** Trailers (RFC 9113 section 8.1). */
export const trailers: readonly Case[] = [
  withTrailers('right', ['x', 'y']),
  withTrailers('none', []),
  ...[':path', ':status', ':method', ':x'].map((name) => withTrailers(name, [name, '/'])),
  withTrailers('Upper', ['Upper', 'x']),
  ...[
    'connection',
    'transfer-encoding',
    'te',
    'content-length',
    'host',
    'trailer',
    'keep-alive',
    'upgrade',
    'content-type',
    'authorization',
  ].map((name) => withTrailers(name, [name, name === 'content-length' ? '3' : 'x'])),
  withTrailers('te: trailers', ['te', 'trailers']),
  withTrailers('content-length of another length', ['content-length', '7']),
  withTrailers('a value with LF', ['x', 'a\nb']),
  withTrailers('a value with a NUL', ['x', 'a\0b']),
  withTrailers('a value with white space at its end', ['x', 'a ']),
  withTrailers('not the end', ['x', 'y'], 0),
  withTrailers('a list of 20000 bytes', ['x', 'y'.repeat(8000), 'x', 'y'.repeat(8000)]),
  one(
    'trailers: DATA after those that are not the end',
    block(begun(1), headers(1, ['x', 'y']), data(1, 'x', END_STREAM)),
    1,
  ),
  one(
    'trailers: twice',
    block(
      begun(1, '/hold'),
      headers(1, ['x', 'y'], END_STREAM),
      headers(1, ['x', 'y'], END_STREAM),
    ),
  ),
  one(
    'trailers: announced',
    block(headers(1, [...requestFields('/'), 'trailer', 'x']), headers(1, ['x', 'y'], END_STREAM)),
    1,
  ),
  one(
    'trailers: an informational response',
    block(begun(1), headers(1, [':status', '100']), data(1, '', END_STREAM)),
    1,
  ),
];

const promised = (length: string, flags = 0) =>
  headers(1, [...requestFields('/'), 'content-length', length], flags);

/** Bodies of a different length than announced (section 8.1.1). */
export const contentLengths: readonly Case[] = [
  one('content-length: 3, as many', block(promised('3'), data(1, 'abc', END_STREAM)), 1),
  one(
    'content-length: 3, in parts',
    block(promised('3'), data(1, 'a'), data(1, 'bc'), data(1, '', END_STREAM)),
    1,
  ),
  one(
    'content-length: 3, as many and trailers',
    block(promised('3'), data(1, 'abc'), headers(1, ['x', 'y'], END_STREAM)),
    1,
  ),
  one(
    'content-length: 3, padded',
    block(promised('3'), data(1, '\u0002abc\0\0', PADDED | END_STREAM)),
    1,
  ),
  one('content-length: 3, one more', block(promised('3'), data(1, 'abcd', END_STREAM)), 1),
  one('content-length: 3, one more, not the end', block(promised('3'), data(1, 'abcd')), 1),
  one(
    'content-length: 3, one more in parts',
    block(promised('3'), data(1, 'ab'), data(1, 'cd', END_STREAM)),
    1,
  ),
  one('content-length: 3, one less', block(promised('3'), data(1, 'ab', END_STREAM)), 1),
  one(
    'content-length: 3, one less in parts',
    block(promised('3'), data(1, 'ab'), data(1, '', END_STREAM)),
    1,
  ),
  one(
    'content-length: 3, one less and trailers',
    block(promised('3'), data(1, 'ab'), headers(1, ['x', 'y'], END_STREAM)),
    1,
  ),
  one('content-length: 3, none', promised('3', END_STREAM), 1),
  one('content-length: 0, none', promised('0', END_STREAM), 1),
  one('content-length: 0, empty DATA', block(promised('0'), data(1, '', END_STREAM)), 1),
  one('content-length: 0, one', block(promised('0'), data(1, 'a', END_STREAM)), 1),
  ...[
    '',
    '+0',
    '-0',
    '0,0',
    '0 0',
    '0x0',
    '00',
    ' 0',
    '0 ',
    '0.0',
    '1e0',
    '99999999999999999999',
    '9223372036854775808',
    '1000000000000000',
  ].map((value) => one(`content-length: ${JSON.stringify(value)}`, promised(value, END_STREAM), 1)),
  one('content-length: 03, three', block(promised('03'), data(1, 'abc', END_STREAM)), 1),
  one(
    'content-length: twice the same',
    block(
      headers(1, [...requestFields('/'), 'content-length', '3', 'content-length', '3']),
      data(1, 'abc', END_STREAM),
    ),
    1,
  ),
  one(
    'content-length: twice',
    block(
      headers(1, [...requestFields('/'), 'content-length', '3', 'content-length', '4']),
      data(1, 'abc', END_STREAM),
    ),
    1,
  ),
  one('content-length: 3, a reset', block(promised('3'), reset(1))),
  one(
    'content-length: 3, of GET',
    block(
      headers(1, [...requestFields('/').with(1, 'GET'), 'content-length', '3']),
      data(1, 'abc', END_STREAM),
    ),
    1,
  ),
];
