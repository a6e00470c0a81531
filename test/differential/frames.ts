import { ErrorCode } from '../../src/engine/http2/errors.ts';
import { Flag, FrameType } from '../../src/engine/http2/frames.ts';
import { encodeHeaders } from '../../src/engine/http2/hpack/encoder.ts';
import { encodeSettings, SettingId } from '../../src/engine/http2/settings.ts';
import { block, plain } from '../hpack/blocks.ts';
import { frameOf, word } from '../support/http2_peer.ts';

const { END_STREAM, END_HEADERS, ACK, PADDED, PRIORITY } = Flag;
const { DATA, HEADERS, CONTINUATION, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE } =
  FrameType;

/** A buffer of so many bytes. */
export const bytes = (length: number) => Buffer.alloc(length, 'x');
/** The mandatory fields of a request. */
export const requestFields = (path: string) => {
  const fixed = [':method', 'POST', ':scheme', 'http', ':authority', 'localhost'];
  return [...fixed, ':path', path];
};

/** A HEADERS frame with a complete block, of any fields. */
export function headers(id: number, fields: readonly string[], flags = 0): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < fields.length; at += 2) {
    parts.push(plain(fields[at] ?? '', fields[at + 1] ?? ''));
  }
  return frameOf(HEADERS, END_HEADERS | flags, id, block(...parts));
}

/** A complete request, which is answered at once. */
export function whole(id: number, path = '/'): Buffer {
  return headers(id, requestFields(path), END_STREAM);
}

/** A request whose body follows. */
export function begun(id: number, path = '/'): Buffer {
  return headers(id, requestFields(path));
}

export function data(id: number, payload: Buffer | string, flags = 0): Buffer {
  return frameOf(DATA, flags, id, Buffer.from(payload));
}

export function reset(id: number, code: number = ErrorCode.CANCEL): Buffer {
  return frameOf(RST_STREAM, 0, id, word(code));
}

export function grow(id: number, increment: number): Buffer {
  return frameOf(WINDOW_UPDATE, 0, id, word(increment));
}

export function set(...settings: readonly (readonly [number, number])[]): Buffer {
  return frameOf(SETTINGS, 0, 0, encodeSettings(settings));
}

/** A request with an invalid field (RFC 9113 section 8.2.1). */
export function malformed(id: number): Buffer {
  return headers(id, [...requestFields('/'), 'Upper', 'case'], END_STREAM);
}

/** A frame and its name. */
export interface NamedFrame {
  name: string;
  of: (id: number) => Buffer;
  /** Opens a stream that is answered, if it can. */
  answered?: boolean;
  /** Ends an open request. */
  ends?: 'data' | 'trailers';
}

const priorityOn = (id: number, weight = 15) => block(word(id), Buffer.from([weight]));
const request = encodeHeaders(requestFields('/'));
const trailers = encodeHeaders(['x-trailer', 'x']);

/** Valid and invalid frames of streams. */
export const streamFrames: readonly NamedFrame[] = [
  { name: 'DATA, empty', of: (id) => data(id, '') },
  { name: 'DATA', of: (id) => data(id, 'xxxxx') },
  { name: 'DATA, END_STREAM', of: (id) => data(id, 'xxxxx', END_STREAM), ends: 'data' },
  { name: 'DATA, empty, END_STREAM', of: (id) => data(id, '', END_STREAM), ends: 'data' },
  { name: 'DATA, padded', of: (id) => data(id, '\u0002xxx\0\0', PADDED) },
  { name: 'DATA, padding of length 0', of: (id) => data(id, '\u0000xxx', PADDED) },
  { name: 'DATA, only padding', of: (id) => data(id, '\u0002\0\0', PADDED) },
  { name: 'DATA, padding that is not 0', of: (id) => data(id, '\u0002xxxab', PADDED) },
  { name: 'DATA, PADDED without a length', of: (id) => data(id, '', PADDED) },
  { name: 'DATA, more padding than bytes', of: (id) => data(id, '\u0006xxxxx', PADDED) },
  { name: 'DATA, padding as long as the frame', of: (id) => data(id, '\u0003xx', PADDED) },
  { name: 'DATA, unknown flags', of: (id) => data(id, 'xxxxx', 0xf6) },
  {
    name: 'HEADERS of a request',
    of: (id) => frameOf(HEADERS, END_HEADERS | END_STREAM, id, request),
    answered: true,
  },
  {
    name: 'HEADERS of a request, more to come',
    of: (id) => frameOf(HEADERS, END_HEADERS, id, encodeHeaders(requestFields('/hold'))),
  },
  {
    name: 'HEADERS of trailers',
    of: (id) => frameOf(HEADERS, END_HEADERS | END_STREAM, id, trailers),
    ends: 'trailers',
  },
  {
    name: 'HEADERS of trailers, more to come',
    of: (id) => frameOf(HEADERS, END_HEADERS, id, trailers),
  },
  {
    name: 'HEADERS, empty, END_STREAM',
    of: (id) => frameOf(HEADERS, END_HEADERS | END_STREAM, id, Buffer.alloc(0)),
    ends: 'trailers',
  },
  {
    name: 'HEADERS, empty',
    of: (id) => frameOf(HEADERS, END_HEADERS, id, Buffer.alloc(0)),
  },
  {
    name: 'HEADERS, padded',
    of: (id) =>
      frameOf(
        HEADERS,
        END_HEADERS | END_STREAM | PADDED,
        id,
        block(Buffer.from([3]), request, Buffer.alloc(3)),
      ),
    answered: true,
  },
  {
    name: 'HEADERS, PADDED without a length',
    of: (id) => frameOf(HEADERS, END_HEADERS | END_STREAM | PADDED, id, Buffer.alloc(0)),
  },
  {
    name: 'HEADERS, more padding than bytes',
    of: (id) =>
      frameOf(
        HEADERS,
        END_HEADERS | END_STREAM | PADDED,
        id,
        block(Buffer.from([request.length + 1]), request),
      ),
  },
  {
    name: 'HEADERS, only padding',
    of: (id) =>
      frameOf(HEADERS, END_HEADERS | END_STREAM | PADDED, id, Buffer.from([4, 0, 0, 0, 0])),
    ends: 'trailers',
  },
  {
    name: 'HEADERS, PRIORITY',
    of: (id) =>
      frameOf(
        HEADERS,
        END_HEADERS | END_STREAM | PRIORITY,
        id,
        block(priorityOn(id === 99 ? 97 : 99), request),
      ),
    answered: true,
  },
  {
    name: 'HEADERS, PRIORITY on stream 0, exclusive',
    of: (id) =>
      frameOf(
        HEADERS,
        END_HEADERS | END_STREAM | PRIORITY,
        id,
        block(priorityOn(2 ** 31), request),
      ),
    answered: true,
  },
  {
    name: 'HEADERS, PRIORITY on itself',
    of: (id) =>
      frameOf(HEADERS, END_HEADERS | END_STREAM | PRIORITY, id, block(priorityOn(id), request)),
    answered: true,
  },
  {
    name: 'HEADERS, PRIORITY cut short',
    of: (id) => frameOf(HEADERS, END_HEADERS | END_STREAM | PRIORITY, id, bytes(4)),
  },
  {
    name: 'HEADERS, PADDED and PRIORITY cut short',
    of: (id) => frameOf(HEADERS, END_HEADERS | END_STREAM | PADDED | PRIORITY, id, Buffer.alloc(5)),
  },
  {
    name: 'HEADERS, unknown flags',
    of: (id) => frameOf(HEADERS, 0xd2 | END_HEADERS | END_STREAM, id, request),
    answered: true,
  },
  {
    name: 'HEADERS, and CONTINUATION',
    of: (id) =>
      block(
        frameOf(HEADERS, END_STREAM, id, request.subarray(0, 3)),
        frameOf(CONTINUATION, 0, id, request.subarray(3, 5)),
        frameOf(CONTINUATION, END_HEADERS, id, request.subarray(5)),
      ),
    answered: true,
  },
  {
    name: 'HEADERS, empty, and CONTINUATION',
    of: (id) =>
      block(
        frameOf(HEADERS, END_STREAM, id, Buffer.alloc(0)),
        frameOf(CONTINUATION, 0, id, Buffer.alloc(0)),
        frameOf(CONTINUATION, END_HEADERS, id, request),
      ),
    answered: true,
  },
  { name: 'PRIORITY', of: (id) => frameOf(FrameType.PRIORITY, 0, id, priorityOn(99)) },
  { name: 'PRIORITY on itself', of: (id) => frameOf(FrameType.PRIORITY, 0, id, priorityOn(id)) },
  ...[0, 4, 6].map((length) => ({
    name: `PRIORITY, ${length} bytes`,
    of: (id: number) => frameOf(FrameType.PRIORITY, 0, id, Buffer.alloc(length)),
  })),
  { name: 'RST_STREAM', of: (id) => reset(id) },
  { name: 'RST_STREAM, NO_ERROR', of: (id) => reset(id, ErrorCode.NO_ERROR) },
  { name: 'RST_STREAM, an unknown code', of: (id) => reset(id, 0xdead) },
  { name: 'RST_STREAM, flags', of: (id) => frameOf(RST_STREAM, 0xff, id, word(8)) },
  ...[0, 3, 5].map((length) => ({
    name: `RST_STREAM, ${length} bytes`,
    of: (id: number) => frameOf(RST_STREAM, 0, id, Buffer.alloc(length)),
  })),
  { name: 'SETTINGS', of: (id) => frameOf(SETTINGS, 0, id, Buffer.alloc(0)) },
  { name: 'PING', of: (id) => frameOf(PING, 0, id, Buffer.alloc(8)) },
  { name: 'PING, ACK', of: (id) => frameOf(PING, ACK, id, Buffer.alloc(8)) },
  { name: 'GOAWAY', of: (id) => frameOf(GOAWAY, 0, id, Buffer.alloc(8)) },
  {
    name: 'PUSH_PROMISE',
    of: (id) => frameOf(FrameType.PUSH_PROMISE, END_HEADERS, id, block(word(2), request)),
  },
  { name: 'WINDOW_UPDATE', of: (id) => grow(id, 1) },
  { name: 'WINDOW_UPDATE, flags', of: (id) => frameOf(WINDOW_UPDATE, 0xff, id, word(1)) },
  { name: 'WINDOW_UPDATE by 0', of: (id) => grow(id, 0) },
  { name: 'WINDOW_UPDATE by 0, reserved bit', of: (id) => grow(id, 2 ** 31) },
  { name: 'WINDOW_UPDATE by 1, reserved bit', of: (id) => grow(id, 2 ** 31 + 1) },
  { name: 'WINDOW_UPDATE above 2^31 - 1', of: (id) => grow(id, 2 ** 31 - 1) },
  ...[0, 3, 5].map((length) => ({
    name: `WINDOW_UPDATE, ${length} bytes`,
    of: (id: number) => frameOf(WINDOW_UPDATE, 0, id, Buffer.alloc(length)),
  })),
  {
    name: 'CONTINUATION',
    of: (id) => frameOf(CONTINUATION, END_HEADERS, id, request),
  },
  {
    name: 'CONTINUATION, empty',
    of: (id) => frameOf(CONTINUATION, 0, id, Buffer.alloc(0)),
  },
  // RFC 7838 section 4, RFC 8336 section 2, RFC 9218 section 7.1.
  { name: 'ALTSVC', of: (id) => frameOf(0x0a, 0, id, Buffer.from('\0\0h2=":8000"')) },
  { name: 'ORIGIN', of: (id) => frameOf(0x0c, 0, id, Buffer.alloc(0)) },
  { name: 'PRIORITY_UPDATE', of: (id) => frameOf(0x10, 0, id, block(word(1), Buffer.from('u=1'))) },
  { name: 'a type that nobody knows', of: (id) => frameOf(0xfe, 0xff, id, bytes(5)) },
  {
    name: 'SETTINGS of INITIAL_WINDOW_SIZE',
    of: (id) => frameOf(SETTINGS, 0, id, encodeSettings([[SettingId.INITIAL_WINDOW_SIZE, 1000]])),
  },
];
