import { ConnectionError, StreamError } from './errors.ts';
import { Flag, type Frame } from './frame.ts';
import { wrongLength } from './frame_checks.ts';
import { type HeaderBlock, HeaderBlockReader } from './header_block.ts';
import { createHpackDecoder, type HpackDecoder } from './hpack/decoder.ts';
import type { HeaderList } from './hpack/header_list.ts';
import { HpackError } from './hpack/hpack_error.ts';
import type { InboundDeps } from './inbound.ts';
import {
  readOversized,
  readRequestHeaders,
  type RequestHeaders,
  readTrailers,
} from './request_headers.ts';
import { headerWork } from './scheduler.ts';
import { fewStreams, Stream } from './stream.ts';

/** What HEADERS, CONTINUATION and DATA do: they open streams, fill their requests and end them. */
export class Requests {
  readonly #deps: InboundDeps;
  /** Called for a frame that carries nothing; throws when there have been too many. */
  readonly #countEmpty: () => void;
  readonly #blocks: HeaderBlockReader;
  readonly #hpack: HpackDecoder;
  /** What has been checked once is given out again: a block that comes again is the same list. */
  readonly #checked = new WeakMap<HeaderList, RequestHeaders>();
  /** How many DATA frames have come that held something. */
  dataFrames = 0;

  constructor(deps: InboundDeps, countEmpty: () => void) {
    this.#deps = deps;
    this.#countEmpty = countEmpty;
    this.#blocks = new HeaderBlockReader(deps.limits);
    const { maxHeaderListSize, maxHeaderBlockSize: maxDecodedSize } = deps.limits;
    this.#hpack = createHpackDecoder({ maxHeaderListSize, maxDecodedSize });
  }

  /** Bytes kept of header blocks. */
  get heldBytes(): number {
    return this.#blocks.heldBytes + this.#hpack.heldBytes;
  }

  /** Those that dropCache() frees. */
  get cachedBytes(): number {
    return this.#hpack.cachedBytes;
  }

  dropCache(): void {
    this.#hpack.dropCache();
  }

  /** Throws a ConnectionError for a frame that may not stand inside a header block. */
  expect(frame: Frame): void {
    this.#blocks.expect(frame);
  }

  /** Section 6.2. */
  onHeaders(frame: Frame): void {
    this.#deps.streams.refuseEven(frame.streamId);
    this.#onBlock(this.#blocks.headers(frame));
  }

  /** Section 6.10. */
  onContinuation(frame: Frame): void {
    if (frame.start === frame.end) this.#countEmpty();
    this.#onBlock(this.#blocks.continuation(frame));
  }

  /** Section 6.1. */
  onData(frame: Frame): void {
    const { owner, streams } = this.#deps;
    const { streamId, flags } = frame;
    if (streamId === 0)
      throw new ConnectionError('PROTOCOL_ERROR', 'Cannot take DATA for stream 0');
    // Section 6.9: padding counts, and so does what comes for a stream that is gone.
    const length = frame.end - frame.start;
    if (!owner.receive(length)) {
      throw new ConnectionError('FLOW_CONTROL_ERROR', 'Cannot take DATA beyond the window');
    }
    // Of whichever stream: it is an error of the connection.
    const body = withoutPadding(frame);
    const stream = streams.get(streamId);
    if (!stream) return streams.refuseClosed(streamId, 'DATA');
    if (stream.remoteEnded) {
      throw new StreamError(streamId, 'STREAM_CLOSED', 'Cannot take DATA after the end');
    }
    owner.holdRequest(stream, length);
    if (!stream.receiveWindow.take(length)) {
      throw new StreamError(streamId, 'FLOW_CONTROL_ERROR', 'Cannot take DATA beyond the window');
    }
    const endStream = (flags & Flag.END_STREAM) !== 0;
    if (body.length > 0) this.dataFrames++;
    else if (!endStream) this.#countEmpty();
    if (body.length < length) stream.consume(length - body.length);
    countBody(stream, body.length, endStream);
    // Whoever serves it need not keep what nothing follows.
    stream.remoteEnded = endStream;
    if (body.length > 0) stream.events?.data(body);
    if (endStream) this.#end(stream, []);
  }

  /** Every block is decoded, whatever becomes of its stream: the next ones build on it. */
  #onBlock(block: HeaderBlock | undefined): void {
    if (!block) return;
    const { flow, streams } = this.#deps;
    const { streamId, dependsOn } = block;
    const isNew = streams.isNew(streamId);
    const list = this.#decode(block.bytes);
    // Few bytes can stand for many.
    flow.spend(headerWork(block.bytes.length + list.size));
    if (dependsOn === streamId) {
      throw new StreamError(streamId, 'PROTOCOL_ERROR', 'Cannot make a stream depend on itself');
    }
    if (isNew) this.#open(block, list);
    else this.#trailers(block, list);
  }

  #decode(block: Buffer): HeaderList {
    try {
      return this.#hpack.decode(block);
    } catch (error) {
      if (!(error instanceof HpackError)) throw error;
      // Section 4.3.
      const code = error.isExcess ? 'ENHANCE_YOUR_CALM' : 'COMPRESSION_ERROR';
      throw new ConnectionError(code, error.message);
    }
  }

  #open({ streamId, endStream }: HeaderBlock, list: HeaderList): void {
    const { acceptsStreams, limits, owner, peer, serve, streams } = this.#deps;
    if (!acceptsStreams()) return streams.rememberReset(streamId);
    // Section 5.1.2.
    if (streams.size >= limits.maxConcurrentStreams) {
      throw new StreamError(streamId, 'REFUSED_STREAM', 'Cannot open more streams');
    }
    // Before anything is made of it. Whoever only probes has no other one.
    if (streams.size >= fewStreams && owner.isFlooded) {
      return owner.refuse(streamId, 'Cannot open more streams: too much is buffered');
    }
    const windows = { send: peer.initialWindowSize, receive: limits.streamWindowSize };
    const stream = new Stream(streamId, owner, { ...windows, peer });
    stream.remoteEnded = endStream;
    const request = this.#request(streamId, list);
    if (request.contentLength !== undefined) stream.bodyLeft = request.contentLength;
    countBody(stream, 0, endStream);
    // Of a list that is too large less is kept than that.
    stream.ownSize = limits.streamCost + Math.min(list.size, limits.maxHeaderListSize);
    owner.open(stream);
    stream.events = serve(stream, request);
    if (endStream && !stream.closed) stream.events.end([]);
  }

  #request(streamId: number, list: HeaderList): RequestHeaders {
    if (!list.isKept) return this.#read(streamId, list);
    const known = this.#checked.get(list);
    if (known) return known;
    const request = this.#read(streamId, list);
    this.#checked.set(list, request);
    return request;
  }

  #read(streamId: number, { fields, tooLarge }: HeaderList): RequestHeaders {
    if (tooLarge) return readOversized(streamId, fields, this.#deps.limits.maxHeaderListSize);
    return readRequestHeaders(streamId, fields);
  }

  /** Section 8.1: a second block ends the request. */
  #trailers(block: HeaderBlock, { fields, tooLarge }: HeaderList): void {
    const { streamId, endStream } = block;
    const stream = this.#deps.streams.get(streamId);
    if (!stream) return;
    if (stream.remoteEnded) {
      throw new StreamError(streamId, 'STREAM_CLOSED', 'Cannot take HEADERS after the end');
    }
    if (!endStream) {
      throw new StreamError(streamId, 'PROTOCOL_ERROR', 'Cannot take trailers that do not end it');
    }
    const trailers = tooLarge ? [] : readTrailers(streamId, fields);
    countBody(stream, 0, true);
    this.#end(stream, trailers, tooLarge ? this.#deps.limits.maxHeaderListSize : undefined);
  }

  #end(stream: Stream, trailers: readonly string[], overLimit?: number): void {
    stream.remoteEnded = true;
    if (!stream.closed) stream.events?.end(trailers, overLimit);
  }
}

/** Section 6.1: the padding's length comes first, and the padding last. */
function withoutPadding(frame: Frame): Buffer {
  const { bytes, start, end, flags } = frame;
  if ((flags & Flag.PADDED) === 0) return bytes.subarray(start, end);
  if (start === end) throw wrongLength(frame);
  const to = end - bytes.readUInt8(start);
  if (to < start + 1) {
    throw new ConnectionError('PROTOCOL_ERROR', 'Cannot take padding of that length');
  }
  return bytes.subarray(start + 1, to);
}

/** Section 8.1.1: a body is as long as `content-length` says. */
function countBody(stream: Stream, length: number, endStream: boolean): void {
  if (stream.bodyLeft === undefined) return;
  stream.bodyLeft -= length;
  if (stream.bodyLeft < 0 || (endStream && stream.bodyLeft > 0)) {
    throw new StreamError(stream.id, 'PROTOCOL_ERROR', 'Cannot take a body of another length');
  }
}
