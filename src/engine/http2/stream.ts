import type { ConnectionError, StreamError } from './errors.ts';
import { ReceiveWindow, SendWindow } from './flow_control.ts';
import type { RequestHeaders } from './request_headers.ts';
import type { Flow } from '../scheduler.ts';
import type { PeerSettings } from './settings.ts';

/** What happens to a stream, told to whoever serves it. */
export interface StreamEvents {
  /** A part of the body. The bytes are valid until this returns; what is kept must be copied. */
  data(bytes: Buffer): void;
  /**
   * The request is whole. `trailers` are its last fields: name, value, name, value. There are none where
   * they were more than `overLimit` bytes, which is all that they may be.
   */
  end(trailers: readonly string[], overLimit?: number): void;
  /** The peer has reset the stream, or is gone; a code of RFC 9113 section 7. */
  reset(code: number): void;
  /** We have ended the stream, or its connection, for what the peer did. */
  failed(error: StreamError | ConnectionError): void;
  /** The connection is dropped within a second: the last moment to answer. */
  expire(): void;
  /** What was written has been sent, after write() had said that it was enough. */
  drain(): void;
  /** The response is complete: its last frame has been put out. */
  sent(): void;
}

/** Serves a stream: answers through it, now or later. */
export type Serve = (stream: Stream, request: RequestHeaders) => StreamEvents;

/** The connection, as its streams see it. */
export interface StreamOwner {
  /** The connection's part of what the server does. */
  readonly flow: Flow;
  /** Sends a HEADERS frame now. */
  sendHeaders(stream: Stream, block: Buffer, endStream: boolean): void;
  /** Holds a part of a body, and sends it as windows allow. False: that is enough for now. */
  hold(stream: Stream, bytes: Uint8Array): boolean;
  /** Ends the response after what the stream holds. */
  endHeld(stream: Stream): void;
  /** Ends the response with what leaves now; see Stream.abandon(). */
  abandon(stream: Stream): void;
  /** Counts bytes that whoever serves a stream keeps for it. */
  keep(bytes: number): void;
  /** Counts bytes that came to be of what was consumed, or with a negative number those that are gone. */
  claim(bytes: number): void;
  /** Gives the peer room on the stream for what has been consumed. */
  giveBack(stream: Stream, bytes: number): void;
  /** Ends the stream with RST_STREAM. */
  reset(stream: Stream, code: number): void;
  /** Takes the stream for ended, without a word to the peer. */
  forget(stream: Stream): void;
}

/** What a stream begins with: its windows, and what its peer says of itself. */
interface StreamParts {
  send: number;
  receive: number;
  peer: PeerSettings;
}

/** A connection with so many open streams is served even when the server keeps far too much: it may be a probe's. */
export const fewStreams = 2;

/** One request and its response (RFC 9113 section 5.1). */
export class Stream {
  readonly id: number;
  readonly sendWindow: SendWindow;
  readonly receiveWindow: ReceiveWindow;
  readonly #owner: StreamOwner;
  readonly #peer: PeerSettings;
  /** Set as soon as the request is known. */
  events: StreamEvents | undefined;
  /** The peer has ended its side: half-closed (remote). */
  remoteEnded = false;
  /** We have ended ours, though what is held may not have left: half-closed (local). */
  localEnded = false;
  /** Neither side can do anything any more. */
  closed = false;
  /** Body bytes that `content-length` promises and that have not come (section 8.1.1). */
  bodyLeft: number | undefined;
  /** Body bytes that have been told and not been consumed. */
  unconsumed = 0;
  /** Bytes that whoever serves it has consumed and still keeps, and of the response those not ready to be sent. */
  kept = 0;
  /** Bytes that it takes itself, with its request's header list and what has been claimed for it. */
  ownSize = 0;
  held: Uint8Array[] = [];
  heldLength = 0;
  /** The same, where many small parts count for more. */
  heldCost = 0;
  /** Whether the peer has got the beginning of the first part that is held. */
  isSplit = false;
  /** Whether it stands in line to send that. */
  inLine = false;
  /** See StreamIndex. */
  behind: Stream | undefined;
  trailers: Buffer | undefined;
  #wantsDrain = false;
  #unready = 0;

  constructor(id: number, owner: StreamOwner, { send, receive, peer }: StreamParts) {
    this.id = id;
    this.#owner = owner;
    this.#peer = peer;
    this.sendWindow = new SendWindow(send);
    this.receiveWindow = new ReceiveWindow(receive);
  }

  /** Its connection's part of what the server does: whatever it has done is counted there. */
  get flow(): Flow {
    return this.#owner.flow;
  }

  /** What the peer takes of a header list, in bytes as RFC 9113 section 6.5.2 counts them. */
  get maxHeaderListSize(): number {
    return this.#peer.maxHeaderListSize;
  }

  /** Bytes kept for it: itself, of the request those that are not consumed, of the response those not sent. */
  get heldBytes(): number {
    return this.ownSize + this.unconsumed + this.kept + this.heldCost;
  }

  /** Sends response headers, an encoded block; informational ones may go before them. */
  respond(block: Buffer, how: { endStream: boolean } = { endStream: false }): void {
    if (this.closed || this.localEnded) return;
    this.localEnded = how.endStream;
    this.#owner.sendHeaders(this, block, how.endStream);
  }

  /** Sends a part of the body, which is ours from now on. False: wait for drain() before the next. */
  write(bytes: Uint8Array): boolean {
    if (this.closed || this.localEnded) return true;
    const goOn = this.#owner.hold(this, bytes);
    // What is empty is sent already.
    this.#wantsDrain = !goOn && this.heldLength > 0;
    return !this.#wantsDrain;
  }

  /** Ends the response with a last part of its body, if there is one, and trailers (an encoded block). */
  end(trailers?: Buffer, last?: Uint8Array): void {
    if (this.closed || this.localEnded) return;
    this.localEnded = true;
    this.trailers = trailers;
    if (last && last.length > 0) this.#owner.hold(this, last);
    else this.#owner.endHeld(this);
  }

  /**
   * Ends the response now, though it may have been ended before: the parts that windows have room for are
   * sent, the others are dropped, and then come trailers (an encoded block). Where the peer has got half of
   * a part, the stream is reset with CANCEL instead.
   */
  abandon(trailers?: Buffer): void {
    if (this.closed) return;
    this.localEnded = true;
    this.trailers = trailers;
    this.#owner.abandon(this);
  }

  /** Says that so many bytes of the body are done with: the peer may send as many more. */
  consume(bytes: number): void {
    if (this.closed) return;
    this.unconsumed -= bytes;
    this.#owner.giveBack(this, bytes);
  }

  /** Says how many consumed bytes are still kept for it: they count against the budget. */
  keep(bytes: number): void {
    this.#count(bytes + this.#unready);
  }

  /** The same for those of a response that are not ready to be sent. */
  keepResponse(bytes: number): void {
    const request = this.kept - this.#unready;
    this.#unready = bytes;
    this.#count(request + bytes);
  }

  /**
   * Says that so many bytes more, or fewer, are in use for it, such as those of a decoded message. Unlike
   * what waits in keep(), they do not stop the connection from being read: a reset may free them.
   */
  claim(bytes: number): void {
    if (this.closed) return;
    this.ownSize += bytes;
    this.#owner.claim(bytes);
  }

  /** Gives the stream up, with an error code of RFC 9113 section 7. */
  reset(code: number): void {
    if (!this.closed) this.#owner.reset(this, code);
  }

  /** Called by the connection when there is room again for what it may hold. */
  drained(): void {
    if (!this.#wantsDrain) return;
    this.#wantsDrain = false;
    this.events?.drain();
  }

  #count(kept: number): void {
    if (this.closed || kept === this.kept) return;
    this.#owner.keep(kept - this.kept);
    this.kept = kept;
  }
}
