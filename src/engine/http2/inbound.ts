import { copyWork, cost, type Flow, headerWork } from '../scheduler.ts';
import { ConnectionError, StreamError } from './errors.ts';
import {
  expectConnection,
  expectLength,
  Flag,
  type Frame,
  FrameType,
  isAck,
  maxInt31,
  withoutPadding,
  wrongLength,
  type HeaderBlock,
  HeaderBlockReader,
} from './frames.ts';
import { createHpackDecoder, type HpackDecoder } from './hpack/decoder.ts';
import type { HeaderList } from './hpack/header_list.ts';
import { HpackError } from './hpack/primitives.ts';
import { fewStreams, type Http2Limits } from './limits.ts';
import type { OpenStreams, StreamTable } from './open_streams.ts';
import {
  readOversized,
  readRequestHeaders,
  readTrailers,
  type RequestHeaders,
} from './request_headers.ts';
import type { Sender } from './sender.ts';
import { applySettings, type PeerSettings } from './settings.ts';
import { type Serve, Stream } from './stream.ts';
import { TokenBucket } from './token_bucket.ts';

/** The parts of a connection that received frames change. */
export interface InboundDeps {
  limits: Http2Limits;
  flow: Flow;
  serve: Serve;
  now: () => number;
  peer: PeerSettings;
  owner: OpenStreams;
  streams: StreamTable;
  sender: Sender;
  onPingAnswer: (payload: Buffer) => void;
  acceptsStreams: () => boolean;
}

/** Each frame may arrive in some pieces: its header, the prefix of a message, and the rest. */
const fragmentsOfFrame = 2;

/** Processes received frames (RFC 9113 section 6). */
export class Inbound {
  readonly #deps: InboundDeps;
  readonly #requests: Requests;
  readonly #resets: TokenBucket;
  readonly #control: TokenBucket;
  readonly #settings: TokenBucket;
  /** Set with the first fragment. */
  #fragments: TokenBucket | undefined;
  /** The responses and frames that have already been credited to the limits of resets and control frames. */
  #creditedResponses = 0;
  #creditedFrames = 0;
  #hasSettings = false;
  #hasAnswered = false;

  constructor(deps: InboundDeps) {
    this.#deps = deps;
    this.#requests = new Requests(deps, () => this.#countControl());
    const { controlFramesPerSecond, resetsPerSecond } = deps.limits;
    this.#resets = new TokenBucket(resetsPerSecond, deps.now);
    this.#control = new TokenBucket(controlFramesPerSecond, deps.now);
    this.#settings = new TokenBucket(controlFramesPerSecond, deps.now);
  }

  /** True once the peer has acknowledged SETTINGS. */
  get hasAnswered(): boolean {
    return this.#hasAnswered;
  }

  /** Bytes of an incomplete header block. */
  get blockBytes(): number {
    return this.#requests.blockBytes;
  }

  /** Bytes of the HPACK table and its cache. */
  get tableBytes(): number {
    return this.#requests.tableBytes;
  }

  /** The part of them that dropCache() frees. */
  get cachedBytes(): number {
    return this.#requests.cachedBytes;
  }

  dropCache(): void {
    this.#requests.dropCache();
  }

  /** Throws a ConnectionError; handles a StreamError itself. */
  onFrame(frame: Frame): void {
    // Section 3.4: the first frame is SETTINGS.
    if (!this.#hasSettings && (frame.type !== FrameType.SETTINGS || isAck(frame))) {
      throw new ConnectionError('PROTOCOL_ERROR', 'Cannot start without SETTINGS');
    }
    this.#requests.expect(frame);
    this.#deps.flow.spend(cost.frame);
    this.#fragments?.earn(fragmentsOfFrame);
    try {
      this.#dispatch(frame);
    } catch (error) {
      if (!(error instanceof StreamError)) throw error;
      this.#onStreamError(error);
    }
  }

  /** Must be called for a small chunk of input that completes no frame. Throws a ConnectionError. */
  onFragment(): void {
    const { limits, now } = this.#deps;
    this.#fragments ??= new TokenBucket(limits.fragmentsPerSecond, now);
    if (this.#fragments.take()) return;
    throw new ConnectionError('ENHANCE_YOUR_CALM', 'Cannot accept frames in so many small pieces');
  }

  #dispatch(frame: Frame): void {
    switch (frame.type) {
      case FrameType.DATA:
        return this.#requests.onData(frame);
      case FrameType.HEADERS:
        return this.#requests.onHeaders(frame);
      case FrameType.CONTINUATION:
        return this.#requests.onContinuation(frame);
      case FrameType.WINDOW_UPDATE:
        return this.#onWindowUpdate(frame);
      case FrameType.RST_STREAM:
        return this.#onRstStream(frame);
      case FrameType.SETTINGS:
        return this.#onSettings(frame);
      case FrameType.PING:
        return this.#onPing(frame);
      case FrameType.PRIORITY:
        return this.#onPriority(frame);
      case FrameType.GOAWAY:
        return this.#onGoAway(frame);
      case FrameType.PUSH_PROMISE:
        // Section 8.4: a client cannot push.
        throw new ConnectionError('PROTOCOL_ERROR', 'Cannot accept PUSH_PROMISE from a client');
      default:
        // Section 4.1: unknown frame types are ignored.
        return this.#countControl();
    }
  }

  /**
   * Section 5.4.2. A peer can provoke resets by the server as easily as it resets streams itself (CVE-2025-8671), so
   * both count.
   */
  #onStreamError(error: StreamError): void {
    const { owner, streams } = this.#deps;
    if (streams.isIdle(error.streamId)) throw error.forConnection();
    this.#countReset();
    this.#deps.flow.spend(cost.reset);
    // Frames that crossed an earlier reset do not provoke another one.
    if (!streams.wasReset(error.streamId)) owner.fail(error);
  }

  /** Section 6.9. */
  #onWindowUpdate(frame: Frame): void {
    const { sender, streams } = this.#deps;
    expectLength(frame, 4);
    const { streamId } = frame;
    const increment = frame.bytes.readUInt32BE(frame.start) & maxInt31;
    if (streamId === 0) {
      if (increment === 0) throw new ConnectionError('PROTOCOL_ERROR', 'Cannot grow a window by 0');
      if (sender.window.grow(increment)) return;
      throw new ConnectionError('FLOW_CONTROL_ERROR', 'Cannot accept a window above 2^31 - 1');
    }
    const stream = streams.get(streamId);
    if (!stream) return streams.refuseIdle(streamId);
    if (increment === 0) throw new StreamError(streamId, 'PROTOCOL_ERROR', 'Cannot grow by 0');
    if (!stream.sendWindow.grow(increment)) {
      throw new StreamError(
        streamId,
        'FLOW_CONTROL_ERROR',
        'Cannot accept a window above 2^31 - 1',
      );
    }
    if (stream.queued > 0) sender.queued(stream);
  }

  /** Section 6.4. */
  #onRstStream(frame: Frame): void {
    expectLength(frame, 4);
    const { flow, owner, streams } = this.#deps;
    const { streamId } = frame;
    const stream = streams.get(streamId);
    // The stream is closed: RST_STREAM crossed the end of its response.
    if (!stream) return streams.refuseIdle(streamId);
    this.#countReset();
    flow.spend(cost.reset);
    owner.onReset(stream, frame.bytes.readUInt32BE(frame.start));
  }

  /** Section 6.5. */
  #onSettings(frame: Frame): void {
    const { flow, peer, sender, streams } = this.#deps;
    expectConnection(frame);
    this.#hasSettings = true;
    if (isAck(frame)) {
      this.#hasAnswered = true;
      this.#countControl();
      return expectLength(frame, 0);
    }
    this.#countSettings();
    const before = peer.initialWindowSize;
    applySettings(peer, frame);
    // Section 6.9.2: the change applies to open streams.
    flow.spend(streams.size >> 3);
    const grown = peer.initialWindowSize - before;
    for (const stream of streams.all()) {
      if (!stream.sendWindow.grow(grown)) {
        throw new ConnectionError('FLOW_CONTROL_ERROR', 'Cannot accept a window above 2^31 - 1');
      }
      if (stream.queued > 0) sender.queued(stream);
    }
    sender.output.frame(FrameType.SETTINGS, Flag.ACK, 0);
  }

  /** Section 6.7. */
  #onPing(frame: Frame): void {
    expectConnection(frame);
    expectLength(frame, 8);
    this.#countControl();
    const payload = frame.bytes.subarray(frame.start, frame.end);
    if (isAck(frame)) this.#deps.onPingAnswer(payload);
    else this.#deps.sender.output.frame(FrameType.PING, Flag.ACK, 0, payload);
  }

  /** Section 6.3: validated, counted, and otherwise ignored. */
  #onPriority(frame: Frame): void {
    const { streamId } = frame;
    if (streamId === 0) throw new ConnectionError('PROTOCOL_ERROR', 'Cannot prioritize stream 0');
    this.#countControl();
    if (frame.end - frame.start !== 5) {
      throw new StreamError(streamId, 'FRAME_SIZE_ERROR', 'Cannot read PRIORITY of that length');
    }
    if ((frame.bytes.readUInt32BE(frame.start) & maxInt31) === streamId) {
      throw new StreamError(streamId, 'PROTOCOL_ERROR', 'Cannot make a stream depend on itself');
    }
  }

  /** Section 6.8: the peer opens no more streams, and closes the connection once it has its responses. */
  #onGoAway(frame: Frame): void {
    expectConnection(frame);
    this.#countControl();
    if (frame.end - frame.start < 8) throw wrongLength(frame);
  }

  /**
   * CVE-2019-9512, CVE-2019-9513 and CVE-2019-9518. gRPC clients send PINGs to estimate the bandwidth (grpc-go one
   * per response), and browsers a PRIORITY_UPDATE per request, so frames of calls earn credit.
   */
  #countControl(): void {
    const { sender } = this.#deps;
    const frames = sender.responseFrames + this.#requests.dataFrames;
    this.#control.earn(frames - this.#creditedFrames);
    this.#creditedFrames = frames;
    if (this.#control.take()) return;
    throw new ConnectionError('ENHANCE_YOUR_CALM', 'Cannot accept so many control frames');
  }

  /** CVE-2019-9515. One frame can change the windows of all streams, so responses earn no credit. */
  #countSettings(): void {
    if (this.#settings.take()) return;
    throw new ConnectionError('ENHANCE_YOUR_CALM', 'Cannot accept so many SETTINGS');
  }

  /** CVE-2023-44487: the limit of open streams does not bound a client that resets its calls at once. */
  #countReset(): void {
    const { completed } = this.#deps.owner;
    this.#resets.earn(completed - this.#creditedResponses);
    this.#creditedResponses = completed;
    if (this.#resets.take()) return;
    throw new ConnectionError('ENHANCE_YOUR_CALM', 'Cannot accept so many resets');
  }
}

/** Processes HEADERS, CONTINUATION and DATA. */
class Requests {
  readonly #deps: InboundDeps;
  /** Called for an empty frame; throws when there are too many. */
  readonly #countEmpty: () => void;
  readonly #blocks: HeaderBlockReader;
  readonly #hpack: HpackDecoder;
  /** Validated headers by cached header list. */
  readonly #checked = new WeakMap<HeaderList, RequestHeaders>();
  /** The number of DATA frames that were not empty. */
  dataFrames = 0;

  constructor(deps: InboundDeps, countEmpty: () => void) {
    this.#deps = deps;
    this.#countEmpty = countEmpty;
    this.#blocks = new HeaderBlockReader(deps.limits);
    const { maxHeaderListSize, maxHeaderBlockSize: maxDecodedSize } = deps.limits;
    this.#hpack = createHpackDecoder({ maxHeaderListSize, maxDecodedSize });
  }

  get blockBytes(): number {
    return this.#blocks.heldBytes;
  }

  get tableBytes(): number {
    return this.#hpack.heldBytes;
  }

  /** The part of them that dropCache() frees. */
  get cachedBytes(): number {
    return this.#hpack.cachedBytes;
  }

  dropCache(): void {
    this.#hpack.dropCache();
  }

  /** Throws a ConnectionError for a frame that must not interrupt a header block. */
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
      throw new ConnectionError('PROTOCOL_ERROR', 'Cannot accept DATA for stream 0');
    // Section 6.9: padding counts, and so does DATA of closed streams.
    const length = frame.end - frame.start;
    if (!owner.receive(length)) {
      throw new ConnectionError('FLOW_CONTROL_ERROR', 'Cannot accept DATA beyond the window');
    }
    // Invalid padding is a connection error, whatever the stream.
    const body = withoutPadding(frame);
    const stream = streams.get(streamId);
    if (!stream) return streams.refuseClosed(streamId, 'DATA');
    const endStream = (flags & Flag.END_STREAM) !== 0;
    this.#deps.flow.spend(copyWork(length));
    if (body.length > 0) this.dataFrames++;
    else if (!endStream && !stream.remoteEnded) this.#countEmpty();
    stream.receiveData(body, length, endStream);
  }

  /** Every block is decoded, even for a closed stream, to keep the dynamic table in sync. */
  #onBlock(block: HeaderBlock | undefined): void {
    if (!block) return;
    const { flow, streams } = this.#deps;
    const { streamId, dependsOn } = block;
    const isNew = streams.isNew(streamId);
    const list = this.#decode(block.bytes);
    // A short block may stand for a long list.
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
    // Before anything is allocated. Probes open few streams.
    if (streams.size >= fewStreams && owner.isFlooded) {
      return owner.refuse(streamId, 'Cannot open more streams: too much is buffered');
    }
    const windows = { send: peer.initialWindowSize, receive: limits.initialWindowSize };
    const stream = new Stream(streamId, owner, { ...windows, peer });
    const request = this.#request(streamId, list);
    stream.begin({ contentLength: request.contentLength, endStream });
    // Less than that is kept of a list that is too large.
    const headers = Math.min(list.size, limits.maxHeaderListSize);
    owner.open(stream, { streamCost: limits.streamCost, headers });
    stream.serve(serve(stream, request));
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

  /** Section 8.1: a second header block ends the request. */
  #trailers(block: HeaderBlock, { fields, tooLarge }: HeaderList): void {
    const { streamId, endStream } = block;
    const stream = this.#deps.streams.get(streamId);
    if (!stream) return;
    stream.checkTrailers(endStream);
    const trailers = tooLarge ? [] : readTrailers(streamId, fields);
    stream.receiveTrailers(trailers, tooLarge ? this.#deps.limits.maxHeaderListSize : undefined);
  }
}
