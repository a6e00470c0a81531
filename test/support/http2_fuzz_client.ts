import { Flag, FrameType, FrameReader, HeaderBlockReader } from '../../src/engine/http2/frames.ts';
import { createHpackDecoder, type DynamicTable } from '../../src/engine/http2/hpack/decoder.ts';
import type { Http2Limits } from '../../src/engine/http2/limits.ts';
import { encodeSettings, SettingId } from '../../src/engine/http2/settings.ts';
import { block, field, insert, plain, resize } from '../hpack/blocks.ts';
import type { Random } from '../hpack/random.ts';
import { frameOf, post, word } from './http2_peer.ts';

const { END_STREAM, END_HEADERS, ACK, PADDED, PRIORITY } = Flag;

/** A client that sends random frames, mostly valid ones. */
export interface FuzzClient {
  /** One frame, or a header block in several frames. */
  say(): Buffer;
  /** RST_STREAM for all of its streams. */
  leave(): Buffer[];
}

interface FuzzClientDeps {
  random: Random;
  /** The dynamic table after all blocks sent so far. */
  table: DynamicTable;
  /** One in so many frames has an invalid byte, or is invalid; 0 for none. */
  wrongOneIn: number;
}

/** Creates a client that mostly follows the rules, so that a session gets far before it breaks one. */
export function createFuzzClient({ random, table, wrongOneIn }: FuzzClientDeps): FuzzClient {
  const { below, oneIn, pick } = random;
  const opened: [number, ...number[]] = [-1];
  const sending: number[] = [];
  const moves = [open, open, open, data, data, data, end, reset, grow, grow, control] as const;

  return { say, leave: () => opened.slice(1).map((id) => rst(id)) };

  function say(): Buffer {
    const bytes = pick(moves)();
    if (wrongOneIn === 0 || !oneIn(wrongOneIn)) return bytes;
    if (oneIn(3)) return illegal();
    bytes[below(bytes.length)] = below(256);
    return bytes;
  }

  function open(): Buffer {
    const id = (opened.at(-1) ?? -1) + 2 * (oneIn(20) ? 2 : 1);
    const ends = oneIn(3);
    opened.push(id);
    if (!ends) sending.push(id);
    return headers(id, ends, requestBlock());
  }

  function requestBlock(): Buffer {
    // Before the fields, as it changes the table.
    if (oneIn(30)) return block(resize(pick([0, 100, 4096])), post);
    const parts: Buffer[] = [post];
    if (table.count > 0 && oneIn(3)) parts.push(field(62 + below(table.count)));
    if (oneIn(3)) parts.push(insert('x-some', random.text(20, 'abc')));
    if (oneIn(5)) parts.push(plain('content-length', `${pick([0, 10, 100, 2000])}`));
    // Above the limit, or too large for one frame.
    if (oneIn(50)) parts.push(plain('x-large', 'x'.repeat(pick([3000, 17_000, 40_000]))));
    return block(...parts);
  }

  /** HEADERS with any flags and padding, and CONTINUATION for the rest of the block. */
  function headers(id: number, ends: boolean, whole: Buffer): Buffer {
    const parts = cut(whole);
    const [first = whole, ...more] = parts;
    const priority = oneIn(4)
      ? block(word(pick([0, id + 2])), Buffer.from([below(256)]))
      : undefined;
    const flags =
      (ends ? END_STREAM : 0) | (more.length === 0 ? END_HEADERS : 0) | (priority ? PRIORITY : 0);
    const payload = priority ? block(priority, first) : first;
    const frames = [padded(FrameType.HEADERS, { flags, id, payload })];
    more.forEach((part, i) => {
      const last = i === more.length - 1 ? END_HEADERS : 0;
      frames.push(frameOf(FrameType.CONTINUATION, last, id, part));
    });
    return block(...frames);
  }

  function cut(whole: Buffer): Buffer[] {
    const parts: Buffer[] = [];
    let rest = whole;
    while (rest.length > 16_000 || (oneIn(4) && parts.length < 5)) {
      const at = Math.min(below(rest.length + 1), 16_000);
      parts.push(rest.subarray(0, at));
      rest = rest.subarray(at);
    }
    return [...parts, rest];
  }

  function padded(
    type: number,
    { flags, id, payload }: { flags: number; id: number; payload: Buffer },
  ): Buffer {
    const most = Math.min(255, 16_384 - 1 - payload.length);
    if (most < 0 || !oneIn(4)) return frameOf(type, flags, id, payload);
    const length = below(most + 1);
    const whole = block(Buffer.from([length]), payload, Buffer.alloc(length));
    return frameOf(type, flags | PADDED, id, whole);
  }

  function data(): Buffer {
    const id = someSending();
    if (id === undefined) return open();
    const payload = Buffer.alloc(pick([0, 1, 10, 100, 2000, 16_384]), 1);
    return padded(FrameType.DATA, { flags: 0, id, payload });
  }

  function end(): Buffer {
    const id = someSending();
    if (id === undefined) return control();
    sending.splice(sending.indexOf(id), 1);
    if (oneIn(2)) return headers(id, true, insert('x-end', random.text(10, 'ab')));
    const payload = Buffer.alloc(pick([0, 10]));
    return padded(FrameType.DATA, { flags: END_STREAM, id, payload });
  }

  function reset(): Buffer {
    const id = someSending() ?? opened.at(-1) ?? -1;
    if (id < 0) return open();
    if (sending.includes(id)) sending.splice(sending.indexOf(id), 1);
    return rst(id);
  }

  function grow(): Buffer {
    const id = Math.max(0, oneIn(2) ? 0 : pick(opened));
    const by = pick([1, 100, 30_000, 30_000, 1_000_000]);
    return frameOf(FrameType.WINDOW_UPDATE, 0, id, word(by));
  }

  function control(): Buffer {
    const { INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, HEADER_TABLE_SIZE } = SettingId;
    const settings = [
      [INITIAL_WINDOW_SIZE, pick([0, 1, 1000, 65_535, 1_000_000])],
      [MAX_FRAME_SIZE, pick([16_384, 20_000, 16_777_215])],
      [HEADER_TABLE_SIZE, pick([0, 4096, 2 ** 32 - 1])],
      [SettingId.ENABLE_PUSH, below(2)],
      [SettingId.MAX_HEADER_LIST_SIZE, below(1000)],
      [0xff_ff, below(1000)],
    ] as const;
    const some = settings.filter(() => oneIn(3));
    return pick([
      frameOf(FrameType.PING, 0, 0, Buffer.alloc(8)),
      frameOf(FrameType.PING, ACK, 0, Buffer.from('goingout')),
      frameOf(FrameType.SETTINGS, 0, 0, encodeSettings(some)),
      frameOf(FrameType.SETTINGS, 0, 0, encodeSettings(some)),
      frameOf(FrameType.SETTINGS, ACK, 0, Buffer.alloc(0)),
      frameOf(FrameType.PRIORITY, 0, below(500) + 501, Buffer.alloc(5)),
      frameOf(FrameType.GOAWAY, 0, 0, Buffer.alloc(8 + below(10))),
      frameOf(0x0a + below(246), below(256), below(10), Buffer.alloc(below(20))),
    ]);
  }

  function illegal(): Buffer {
    const id = Math.max(0, pick([0, 1, 2, pick(opened), (opened.at(-1) ?? 0) + 2]));
    return frameOf(below(11), below(256), id, Buffer.alloc(below(12), below(256)));
  }

  function someSending(): number | undefined {
    return sending[below(sending.length)];
  }
}

function rst(id: number): Buffer {
  return frameOf(FrameType.RST_STREAM, 0, id, word(8));
}

/**
 * Models what a connection holds without streams: incomplete frames and header blocks, and HPACK. It reads the same
 * input.
 */
export function createIdleShare(limits: Http2Limits) {
  const blocks = new HeaderBlockReader(limits);
  const hpack = createHpackDecoder(limits);
  const reader = new FrameReader((frame) => {
    const { HEADERS, CONTINUATION } = FrameType;
    if (frame.type !== HEADERS && frame.type !== CONTINUATION) return;
    const whole = frame.type === HEADERS ? blocks.headers(frame) : blocks.continuation(frame);
    if (whole) hpack.decode(whole.bytes);
  });
  return {
    table: hpack.table,
    read: (bytes: Buffer) => reader.read(bytes),
    /** As Connection.forget() does. */
    forget: () => hpack.dropCache(),
    get heldBytes() {
      return reader.heldBytes + blocks.heldBytes + hpack.heldBytes;
    },
  };
}
