import assert from 'node:assert/strict';
import { Flag, FrameReader, FrameType, preface } from '../../src/engine/http2/frames.ts';
import { createHpackDecoder } from '../../src/engine/http2/hpack/decoder.ts';
import { encodeSettings, SettingId } from '../../src/engine/http2/settings.ts';
import { block, field, insert, plain } from '../hpack/blocks.ts';
import { frameOf, word } from './http2_peer.ts';
import { valuesOf } from './http1_responses.ts';
import {
  answered,
  type Exchange,
  exchangeOf,
  type WebFuzzClient,
  type WebFuzzClientDeps,
} from './web_fuzz_client.ts';

const { END_STREAM, END_HEADERS, ACK, PADDED } = Flag;

/** A stream of the client. */
interface FuzzStream {
  readonly exchange: Exchange;
  /** The part of the body that has not been sent. */
  left: Buffer;
  /** The bytes that the server accepts. */
  window: number;
  /** True once the client has ended or reset it. */
  hasEnded: boolean;
  fields: readonly string[] | undefined;
  body: Buffer[];
  trailers: readonly string[];
  /** True once the server has ended it. */
  isAnswered: boolean;
  /** Received bytes that the server may not know of. */
  owed: number;
}

/** The maximum of streams without an answer. */
const maxOpen = 8;
const maxFrameSize = 16_384;
const initialWindow = 65_535;

/** Creates a client of HTTP/2 with prior knowledge. */
export function createHttp2FuzzClient({
  random,
  next,
  wrongOneIn,
  now,
}: WebFuzzClientDeps): WebFuzzClient {
  const { below, oneIn, pick } = random;
  const streams = new Map<number, FuzzStream>();
  const exchanges: Exchange[] = [];
  const hpack = createHpackDecoder({ maxHeaderListSize: 1e6 });
  const ownWindow = pick([1000, 65_535, 1_000_000]);
  const toSend: Buffer[] = [greeting()];
  let lastId = -1;
  let isStrict = true;
  let window = initialWindow;
  /** The server's initial window of streams. */
  let startWindow = initialWindow;
  let owed = 0;
  /** The stream and the parts of an incomplete header block. */
  let blocks: { id: number; endsStream: boolean; parts: Buffer[] } | undefined;
  let hasLeft = false;
  let isText: boolean | undefined;
  const moves = [open, open, send, send, send, send, giveBack, control, reset] as const;
  const reader = new FrameReader(({ type, flags, streamId, bytes, start, end }) => {
    read({ type, flags, id: streamId, payload: Buffer.from(bytes.subarray(start, end)) });
  });
  reader.read(preface);

  return {
    exchanges,
    get isStrict() {
      return isStrict;
    },
    isTruncated: false,
    say() {
      pick(moves)();
      if (wrongOneIn > 0 && oneIn(wrongOneIn)) breakRules();
      return Buffer.concat(toSend.splice(0));
    },
    finish() {
      for (const id of streams.keys()) while (sendOn(id));
      giveBack();
      return Buffer.concat(toSend.splice(0));
    },
    end() {},
    hear(bytes) {
      // With another preface, it is not a connection of HTTP/2.
      isText ??= bytes.length === 0 ? undefined : bytes.toString('latin1', 0, 5) === 'HTTP/';
      if (isText && !isStrict) return;
      try {
        reader.read(bytes);
      } catch (cause) {
        throw new Error('Cannot read the frames of the server', { cause });
      }
    },
  };

  function greeting(): Buffer {
    const settings = encodeSettings([[SettingId.INITIAL_WINDOW_SIZE, ownWindow]]);
    return block(
      preface,
      frameOf(FrameType.SETTINGS, 0, 0, settings),
      frameOf(FrameType.WINDOW_UPDATE, 0, 0, word(1_000_000)),
    );
  }

  // What the client sends.

  function open(): void {
    const waiting = exchanges.filter((each) => !each.isCut && each.answeredAt === undefined);
    if (waiting.length >= maxOpen || hasLeft) return;
    const request = next();
    const exchange = exchangeOf(request, now());
    exchange.isTainted = !isStrict;
    exchanges.push(exchange);
    lastId += 2;
    const { method, path, fields, body } = request;
    const parts = [plain(2, method), plain(4, path), field(6), plain(1, 'x')];
    for (let at = 0; at < fields.length; at += 2) {
      const [name = '', value = ''] = [fields[at], fields[at + 1]];
      parts.push(oneIn(4) ? insert(name, value) : plain(name, value));
    }
    if (oneIn(3)) parts.push(plain('content-length', String(body.length)));
    const ends = body.length === 0 && oneIn(2);
    streams.set(lastId, {
      exchange,
      left: body,
      window: startWindow,
      hasEnded: ends,
      fields: undefined,
      body: [],
      trailers: [],
      isAnswered: false,
      owed: 0,
    });
    exchange.isComplete = ends;
    toSend.push(...headers(lastId, block(...parts), ends ? END_STREAM : 0));
    // Usually as clients do it: everything at once.
    if (!oneIn(3)) while (sendOn(lastId));
  }

  /** A header block in one frame or more. */
  function headers(id: number, whole: Buffer, flags: number): Buffer[] {
    const at = oneIn(5) ? below(whole.length) : whole.length;
    const first = whole.subarray(0, at);
    const rest = whole.subarray(at);
    if (rest.length === 0) return [frameOf(FrameType.HEADERS, flags | END_HEADERS, id, first)];
    return [
      frameOf(FrameType.HEADERS, flags, id, first),
      frameOf(FrameType.CONTINUATION, END_HEADERS, id, rest),
    ];
  }

  function send(): void {
    const ids = [...streams].filter(([, { hasEnded }]) => !hasEnded).map(([id]) => id);
    const id = ids[below(ids.length)];
    if (id !== undefined) sendOn(id, oneIn(2));
  }

  /** Sends a part of a body; returns true if more can be sent. */
  function sendOn(id: number, isPart = false): boolean {
    const stream = streams.get(id);
    if (!stream || stream.hasEnded) return false;
    // As clients do it.
    if (stream.isAnswered) {
      stream.hasEnded = true;
      return false;
    }
    const { left } = stream;
    const most = Math.min(left.length, maxFrameSize - 256, window, stream.window);
    if (most <= 0 && left.length > 0) return false;
    const length = isPart ? below(most + 1) : most;
    const rest = left.subarray(length);
    const isDone = rest.length === 0 && !(isPart && oneIn(2));
    const hasTrailers = isDone && oneIn(10);
    const flags = isDone && !hasTrailers ? END_STREAM : 0;
    toSend.push(data(id, left.subarray(0, length), flags));
    stream.left = rest;
    if (isDone) {
      stream.hasEnded = true;
      stream.exchange.isComplete = true;
      if (hasTrailers) toSend.push(...headers(id, insert('x-end', 'yes'), END_STREAM));
    }
    return !isDone && length > 0;
  }

  function data(id: number, payload: Buffer, flags: number): Buffer {
    const padding = oneIn(10) ? below(200) : 0;
    const stream = streams.get(id);
    const length = payload.length + padding + 1;
    const isPadded =
      padding > 0 && stream !== undefined && length <= Math.min(window, stream.window);
    const taken = isPadded ? length : payload.length;
    window -= taken;
    if (stream) stream.window -= taken;
    if (!isPadded) return frameOf(FrameType.DATA, flags, id, payload);
    const whole = block(Buffer.from([padding]), payload, Buffer.alloc(padding));
    return frameOf(FrameType.DATA, flags | PADDED, id, whole);
  }

  function giveBack(): void {
    if (owed > 0) toSend.push(frameOf(FrameType.WINDOW_UPDATE, 0, 0, word(owed)));
    owed = 0;
    for (const [id, stream] of streams) {
      if (stream.owed > 0 && !stream.isAnswered && !stream.exchange.isCut) {
        toSend.push(frameOf(FrameType.WINDOW_UPDATE, 0, id, word(stream.owed)));
      }
      stream.owed = 0;
    }
  }

  function control(): void {
    if (!oneIn(3)) return;
    toSend.push(
      pick([
        frameOf(FrameType.PING, 0, 0, Buffer.alloc(8)),
        frameOf(FrameType.PRIORITY, 0, 1 + below(100), Buffer.alloc(5)),
        frameOf(0x20 + below(200), below(256), below(10), Buffer.alloc(below(20))),
        frameOf(FrameType.SETTINGS, 0, 0, encodeSettings([[0xff_ff, below(1000)]])),
      ]),
    );
  }

  function reset(): void {
    const ids = [...streams].filter(([, { isAnswered }]) => !isAnswered).map(([id]) => id);
    const id = ids[below(ids.length)];
    const stream = id === undefined ? undefined : streams.get(id);
    if (id === undefined || !stream || stream.exchange.isCut || !oneIn(6)) return;
    stream.exchange.isCut = true;
    stream.hasEnded = true;
    toSend.push(frameOf(FrameType.RST_STREAM, 0, id, word(8)));
  }

  function breakRules(): void {
    // Nothing that is sent from now on need be understood as it was meant.
    isStrict = false;
    for (const exchange of exchanges) {
      if (exchange.answeredAt === undefined) exchange.isTainted = true;
    }
    const id = 1 + 2 * below(10);
    const bytes = Buffer.concat(toSend.splice(0));
    pick([
      () => {
        if (bytes.length > 0) bytes[below(bytes.length)] = below(256);
        toSend.push(bytes);
      },
      () => {
        const payload = Buffer.alloc(below(12), below(256));
        toSend.push(bytes, frameOf(below(11), below(256), id, payload));
      },
      () => {
        // Another length than that of the body.
        const length = plain('content-length', '5');
        const type = plain('content-type', 'application/json');
        const request = block(
          plain(2, 'POST'),
          plain(4, '/echo.Echo/Unary'),
          field(6),
          type,
          length,
        );
        lastId += 2;
        toSend.push(bytes, ...headers(lastId, request, 0));
        toSend.push(frameOf(FrameType.DATA, END_STREAM, lastId, Buffer.from('{}')));
      },
    ])();
  }

  // What the server sends.

  interface Received {
    type: number;
    flags: number;
    id: number;
    payload: Buffer;
  }

  function read(received: Received): void {
    const { type, flags, id, payload } = received;
    if (blocks) assert.equal(type, FrameType.CONTINUATION);
    switch (type) {
      case FrameType.DATA:
        return readData(received);
      case FrameType.HEADERS:
        blocks = { id, endsStream: (flags & END_STREAM) !== 0, parts: [] };
        return readBlock(received);
      case FrameType.CONTINUATION:
        return readBlock(received);
      case FrameType.RST_STREAM:
        return readReset(id, payload.readUInt32BE(0));
      case FrameType.SETTINGS:
        if ((flags & ACK) === 0) readSettings(payload);
        return;
      case FrameType.PING:
        if ((flags & ACK) === 0) toSend.push(frameOf(FrameType.PING, ACK, 0, payload));
        return;
      case FrameType.GOAWAY:
        hasLeft = true;
        return;
      case FrameType.WINDOW_UPDATE:
        return readWindow(id, payload.readUInt32BE(0));
      default:
        assert.fail(`a frame of type ${type}`);
    }
  }

  function readSettings(payload: Buffer): void {
    for (let at = 0; at < payload.length; at += 6) {
      if (payload.readUInt16BE(at) !== SettingId.INITIAL_WINDOW_SIZE) continue;
      const size = payload.readUInt32BE(at + 2);
      for (const stream of streams.values()) stream.window += size - startWindow;
      startWindow = size;
    }
    toSend.push(frameOf(FrameType.SETTINGS, ACK, 0, Buffer.alloc(0)));
  }

  function readWindow(id: number, by: number): void {
    if (id === 0) window += by;
    const stream = streams.get(id);
    if (stream) stream.window += by;
  }

  function readReset(id: number, code: number): void {
    const stream = streams.get(id);
    if (!stream) return assert.ok(!isStrict, `RST_STREAM for ${id}`);
    stream.hasEnded = true;
    // A complete answer makes the rest of a request superfluous.
    if (stream.isAnswered) return;
    const { exchange } = stream;
    assert.ok(
      exchange.isCut || exchange.isTainted || code === 7 || code === 11,
      `RST_STREAM with ${code}`,
    );
    exchange.isCut = true;
  }

  function readBlock({ flags, id, payload }: Received): void {
    assert.ok(blocks && blocks.id === id, 'a block of another stream');
    blocks.parts.push(payload);
    if ((flags & END_HEADERS) === 0) return;
    const { endsStream, parts } = blocks;
    blocks = undefined;
    const { fields } = hpack.decode(Buffer.concat(parts));
    checkFields(fields);
    const stream = streamOf(id);
    if (!stream) return;
    if (stream.fields === undefined) {
      assert.match(fields[1] ?? '', /^[2-5]\d\d$/);
      assert.equal(fields[0], ':status');
      stream.fields = fields;
    } else {
      assert.ok(endsStream, 'trailers that do not end the stream');
      assert.ok(!fields.some((name, at) => at % 2 === 0 && name.startsWith(':')), fields.join());
      stream.trailers = fields;
    }
    if (endsStream) end(stream);
  }

  function readData({ flags, id, payload }: Received): void {
    owed += payload.length;
    const stream = streamOf(id);
    if (!stream) return;
    assert.ok(stream.fields, 'DATA before HEADERS');
    stream.owed += payload.length;
    stream.body.push(payload);
    if ((flags & END_STREAM) !== 0) end(stream);
  }

  /** The stream that the server goes on with; undefined if the client has never meant to open it. */
  function streamOf(id: number): FuzzStream | undefined {
    const stream = streams.get(id);
    if (!stream) assert.ok(!isStrict, `a frame of stream ${id}`);
    if (stream?.isAnswered) assert.fail(`stream ${id} goes on`);
    return stream;
  }

  function end(stream: FuzzStream): void {
    stream.isAnswered = true;
    const { exchange, fields = [], trailers } = stream;
    const body = Buffer.concat(stream.body);
    stream.body = [];
    const [length] = valuesOf(fields, 'content-length');
    const { method } = exchange.request;
    if (method === 'HEAD') assert.ok(body.length === 0 || exchange.isTainted, 'a body for HEAD');
    else if (length !== undefined) assert.equal(body.length, Number(length));
    const status = Number(fields[1]);
    // The answer to a request that was reset may be on its way.
    answered(exchange, { status, fields: fields.slice(2), body, trailers }, now());
  }
}

function checkFields(fields: readonly string[]): void {
  for (let at = 0; at < fields.length; at += 2) {
    assert.match(fields[at] ?? '', /^:?[!#$%&'*+.^_`|~\da-z-]+$/);
    assert.match(fields[at + 1] ?? '', /^[^\0\r\n]*$/);
  }
}
