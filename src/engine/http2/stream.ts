import { withOwnMemory } from '../buffers.ts';
import type { Account } from '../account.ts';
import { type Category, Held, ofJobs, ofStreams } from '../held.ts';
import type { Flow } from '../scheduler.ts';
import type { ConnectionFaults } from './connection_faults.ts';
import { type Code, type ConnectionError, StreamError } from './errors.ts';
import { ReceiveWindow, SendWindow, type Payload, SendQueue } from './flow_control.ts';
import type { RequestHeaders } from './request_headers.ts';
import type { PeerSettings } from './settings.ts';

/** Events of a stream, for its handler. */
export interface StreamEvents {
  /** A part of the body. The bytes are valid until the callback returns. */
  data(bytes: Buffer): void;
  /**
   * The request is complete. `trailers` are names and values, alternating. If they exceeded `overLimit` bytes, they
   * are dropped.
   */
  end(trailers: readonly string[], overLimit?: number): void;
  /** The peer has reset the stream or closed the connection; the code is of RFC 9113 section 7. */
  reset(code: number): void;
  /** The server has ended the stream or the connection because of a protocol error. */
  failed(error: StreamError | ConnectionError): void;
  /** The connection is closed within a second: the handler must respond now. */
  expire(): void;
  /** The stream must end at once, in favour of others. */
  evicted?(): void;
  /** The request cannot be translated into messages, which is the caller's fault. */
  refused?(error: Error): void;
  /** The buffer is sent, after write() had returned false. */
  drain(): void;
  /** The last frame of the response has been sent. */
  sent(): void;
}

/** Serves a stream: responds through it, now or later. */
export type Serve = (stream: Stream, request: RequestHeaders) => StreamEvents;

/** The connection, as its streams see it. */
export interface StreamOwner extends ConnectionFaults {
  /** The connection's share of the event loop. */
  readonly flow: Flow;
  /** The connection's account. */
  readonly account: Account;
  /** Sends HEADERS now. */
  sendHeaders(stream: Stream, block: Buffer, endStream: boolean): void;
  /** Sends or queues a part of a body. Returns false if the writer should wait. */
  send(stream: Stream, bytes: Uint8Array): boolean;
  /** Ends the response after the queued data. */
  endQueued(stream: Stream): void;
  /** Ends the response with what fits into the windows; see Stream.abandon(). */
  abandon(stream: Stream): void;
  /** Opens the stream window by consumed bytes. */
  giveBack(stream: Stream, bytes: number): void;
  /** Ends the stream with RST_STREAM. */
  reset(stream: Stream, code: number): void;
  /** Charges or output have changed. */
  wake(): void;
}

/** The initial windows and peer settings of a stream. */
interface StreamParts {
  send: number;
  receive: number;
  peer: PeerSettings;
}

/** The fraction of what a stream holds that must move for it to count as progress. */
const progressPart = 16;

/**
 * The states of RFC 9113 section 5.1 for a server that does not push. A stream exists from the start of its request,
 * and closes with its response; if the request is not complete by then, the rest is discarded (section 8.1).
 */
type State = 'open' | 'half-closed (remote)' | 'closed';

/** A request and its response. */
export class Stream {
  readonly id: number;
  readonly sendWindow: SendWindow;
  readonly receiveWindow: ReceiveWindow;
  /** Written by StreamIndex. */
  behind: Stream | undefined;
  /** The stream, inside this process, of the call that this one carries; what it holds is held for this one. */
  carried: Stream | undefined;
  readonly #owner: StreamOwner;
  readonly #peer: PeerSettings;
  #events: StreamEvents | undefined;
  #state: State = 'open';
  /** True once the end of the response is decided, though it may not be sent. */
  #isEnding = false;
  #trailers: Buffer | undefined;
  /** Body bytes that `content-length` announces and that have not arrived (section 8.1.1). */
  #bodyLeft: number | undefined;
  /** Body bytes that were passed to the handler and not consumed. */
  #unconsumed = 0;
  /** Consumed body bytes that the handler still keeps. */
  #kept = 0;
  /** Bytes of responses that are not ready to be sent. */
  #unready = 0;
  /** Bytes of the last response, which the handler keeps until it continues. */
  #lastGiven = 0;
  /** Response data that waits for flow control. */
  #queue: SendQueue | undefined;
  #isInLine = false;
  #wantsDrain = false;
  #isCall = false;
  #isAdmitted = false;
  /** Bytes that the last message was admitted with. */
  #given = 0;
  /** Bytes by which its window has been enlarged. */
  #widened = 0;
  /** The number of jobs of other threads on its messages. */
  #jobs = 0;
  #isReleased = false;
  #isWaiting = false;
  /** Bytes held, by category. */
  readonly #held = [0, 0, 0, 0, 0, 0, 0];
  #heldBytes = 0;
  /** The turn of the last progress, and the bytes moved since. */
  #progressedAt: number;
  #moved = 0;

  constructor(id: number, owner: StreamOwner, { send, receive, peer }: StreamParts) {
    this.id = id;
    this.#owner = owner;
    this.#peer = peer;
    this.sendWindow = new SendWindow(send);
    this.receiveWindow = new ReceiveWindow(receive);
    this.#progressedAt = owner.flow.turn;
  }

  /** The connection's share of the event loop; all work for the stream is counted there. */
  get flow(): Flow {
    return this.#owner.flow;
  }

  /** The connection's account. */
  get account(): Account {
    return this.#owner.account;
  }

  /** The peer's maximum header list in bytes, counted as in RFC 9113 section 6.5.2. */
  get maxHeaderListSize(): number {
    return this.#peer.maxHeaderListSize;
  }

  /** The handler's events, once the request is known. */
  get events(): StreamEvents | undefined {
    return this.#events;
  }

  /** The peer has ended its side. */
  get remoteEnded(): boolean {
    return this.#state === 'half-closed (remote)' || this.#state === 'closed';
  }

  /** Both sides have ended. */
  get closed(): boolean {
    return this.#state === 'closed';
  }

  /** Nothing can be added to the response. */
  get isEnding(): boolean {
    return this.#isEnding;
  }

  // Events from the peer, called by the connection.

  /** The request headers have arrived. Throws a StreamError if the body has another length than announced. */
  begin({
    contentLength,
    endStream,
  }: {
    contentLength?: number | undefined;
    endStream: boolean;
  }): void {
    this.#bodyLeft = contentLength;
    this.#countBody(0, endStream);
    if (endStream) this.#state = 'half-closed (remote)';
  }

  /** Sets the handler. */
  serve(events: StreamEvents): void {
    this.#events = events;
    if (this.#state === 'half-closed (remote)') events.end([]);
  }

  /**
   * DATA has arrived; `body` is the payload without padding (section 6.1). Throws a StreamError if no DATA, or not as
   * much, is allowed.
   */
  receiveData(body: Buffer, length: number, endStream: boolean): void {
    if (this.remoteEnded) throw this.#error('STREAM_CLOSED', 'Cannot accept DATA after the end');
    this.#unconsumed += length;
    this.#countBodies();
    if (!this.receiveWindow.take(length)) {
      throw this.#error('FLOW_CONTROL_ERROR', 'Cannot accept DATA beyond the window');
    }
    this.#progress(body.length);
    if (body.length < length) this.consume(length - body.length);
    this.#countBody(body.length, endStream);
    // Ended first, as a handler need not copy the last part of a body.
    if (endStream) this.#endRemote();
    if (body.length > 0) this.#events?.data(body);
    if (endStream && !this.closed) this.#events?.end([]);
  }

  /** Throws a StreamError if trailers are not allowed (section 8.1). */
  checkTrailers(endStream: boolean): void {
    if (this.remoteEnded) throw this.#error('STREAM_CLOSED', 'Cannot accept HEADERS after the end');
    if (!endStream)
      throw this.#error('PROTOCOL_ERROR', 'Cannot accept trailers that do not end it');
  }

  /** The request has ended with trailers. Throws a StreamError if the body has another length than announced. */
  receiveTrailers(trailers: readonly string[], overLimit?: number): void {
    this.#countBody(0, true);
    this.#endRemote();
    this.#events?.end(trailers, overLimit);
  }

  /** Closes the stream: no more frames are received or sent. */
  close(): void {
    if (this.#isAdmitted) this.#owner.account.admit(-1);
    this.#owner.account.widen(-this.#widened);
    this.#state = 'closed';
    this.#isEnding = true;
  }

  /** The handler is done: releases all charges, except for jobs of other threads. */
  release(): void {
    const { account } = this.#owner;
    this.#isReleased = true;
    for (const category of ofStreams) {
      if (this.#jobs === 0 || !ofJobs.has(category)) this.#uncharge(category);
    }
    this.#heldBytes = 0;
    if (this.#isCall) account.count('calls', -1);
    if (!this.isInner) account.count('streams', -1);
  }

  /** A thread starts, or queues, a job on one of its messages, which cannot be cancelled. */
  beginJob(): void {
    this.#jobs++;
  }

  /** The job is done. */
  endJob(): void {
    this.#jobs--;
    if (this.#jobs > 0 || !this.#isReleased) return;
    for (const category of ofJobs) this.#uncharge(category);
  }

  #uncharge(category: Category): void {
    const bytes = this.#held[category] ?? 0;
    this.#held[category] = 0;
    if (bytes !== 0) this.#owner.account.charge(category, -bytes);
  }

  // Actions of the handler.

  /** Sends response headers, an encoded block; informational ones may precede them. */
  respond(block: Buffer, how: { endStream: boolean } = { endStream: false }): void {
    if (this.#isEnding) return;
    this.#isEnding = how.endStream;
    this.#owner.sendHeaders(this, block, how.endStream);
  }

  /**
   * Sends a part of the body, which belongs to the stream from now on. Returns false if the writer must wait for
   * drain().
   */
  write(bytes: Uint8Array): boolean {
    if (this.#isEnding) return true;
    const goOn = this.#owner.send(this, bytes);
    // An empty part is sent already. The reader of a call in this process asks again in any case.
    this.#wantsDrain = !goOn && (this.queued > 0 || this.isInner);
    return !this.#wantsDrain;
  }

  /** Ends the response with an optional last part of its body and optional trailers (an encoded block). */
  end(trailers?: Buffer, last?: Uint8Array): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    this.#trailers = trailers;
    this.#lastGiven = 0;
    if (last && last.length > 0) this.#owner.send(this, last);
    else this.#owner.endQueued(this);
    // Usually sent by now.
    if (this.closed) return;
    if (trailers) this.#trailers = withOwnMemory(trailers);
    this.#countResponse();
  }

  /**
   * Ends the response now, even after end(): sends the parts that fit into the windows, drops the others, and then
   * sends trailers (an encoded block). If a part has been sent in part, the stream is reset with CANCEL instead.
   */
  abandon(trailers?: Buffer): void {
    if (this.closed) return;
    this.#isEnding = true;
    this.#trailers = trailers;
    this.#owner.abandon(this);
  }

  /** Marks body bytes as consumed, so that the window opens by as many. */
  consume(bytes: number): void {
    if (this.closed) return;
    this.discard(bytes);
    this.#owner.giveBack(this, bytes);
  }

  /** Marks body bytes as discarded, and keeps the window closed. */
  discard(bytes: number): void {
    if (this.closed) return;
    this.#unconsumed -= bytes;
    this.#countBodies();
  }

  /** Sets the number of consumed body bytes that are still kept. */
  keep(bytes: number): void {
    if (this.closed || bytes === this.#kept) return;
    this.#kept = bytes;
    this.#countBodies();
    this.#owner.wake();
  }

  /** Sets the number of response bytes that are not ready to be sent. */
  keepResponse(bytes: number): void {
    if (this.closed) return;
    this.#unready = bytes;
    this.#countResponse();
  }

  /** Sets the bytes of the last response, which is kept until the next one or the end. */
  keepLast(bytes: number): void {
    if (this.closed) return;
    this.#lastGiven = bytes;
    this.#countResponse();
  }

  /** Sets the bytes that are held in a category. */
  hold(category: Category, bytes: number): void {
    const before = this.#held[category] ?? 0;
    if (bytes === before || this.closed) return;
    this.#held[category] = bytes;
    this.#heldBytes += bytes - before;
    this.#owner.account.charge(category, bytes - before);
    if (category === Held.messages && this.#lastGiven > 0) this.#countResponse();
  }

  /** Sets whether the stream counts as a call. */
  countCall(isCall: boolean): void {
    if (this.#isCall === isCall || this.closed) return;
    this.#isCall = isCall;
    this.#owner.account.count('calls', isCall ? 1 : -1);
  }

  /** A message is admitted with so many bytes; the connection is read for it even above the limit. */
  admit(bytes: number): void {
    this.#given = bytes;
    if (this.#isAdmitted || this.closed) return;
    this.#isAdmitted = true;
    this.#owner.account.admit(1);
  }

  /** The message has been handled. Its response may use the admitted bytes. */
  endAdmission(): void {
    if (!this.#isAdmitted || this.closed) return;
    this.#isAdmitted = false;
    this.#owner.account.admit(-1);
  }

  /** Enlarges the window if memory allows; returns the increment. */
  widen(size: number): number {
    const more = this.receiveWindow.missing(size);
    if (more === 0 || !this.#owner.account.widen(more)) return 0;
    this.#widened += more;
    return this.receiveWindow.widen(more);
  }

  /** Sets whether it waits for admission, and so cannot make progress. */
  wait(isWaiting: boolean): void {
    if (this.#isWaiting === isWaiting) return;
    this.#isWaiting = isWaiting;
    this.#progressedAt = this.#owner.flow.turn;
  }

  /** Resets the stream with an error code of RFC 9113 section 7. */
  reset(code: number): void {
    if (!this.closed) this.#owner.reset(this, code);
  }

  /** Resets the stream that the client sees, on purpose. */
  breakOff(code: number): void {
    this.reset(code);
  }

  /** What a call can do to the connection on purpose. */
  get faults(): ConnectionFaults {
    return this.#owner;
  }

  // The send queue, used by the connection's sender.

  /** Bytes queued. */
  get queued(): number {
    return this.#queue?.length ?? 0;
  }

  /** The cost of the queue; see SendQueue. */
  get queuedCost(): number {
    return this.#queue?.cost ?? 0;
  }

  /** The trailers to send after the body, if any. */
  get trailers(): Buffer | undefined {
    return this.#trailers;
  }

  /** True if a part has been sent in part. */
  get isSplit(): boolean {
    return this.#queue?.isSplit ?? false;
  }

  /** The bytes of the leading parts that fit completely into `room`. */
  wholeParts(room: number): number {
    return this.#queue?.wholeParts(room) ?? 0;
  }

  queue(bytes: Uint8Array): void {
    (this.#queue ??= new SendQueue()).add(bytes);
    this.#countResponse();
  }

  /** Moves queued bytes into a frame. */
  moveTo(output: Payload, length: number): void {
    this.#queue?.moveTo(output, length);
    this.#countResponse();
    this.#progress(length);
  }

  /** Drops the queue. */
  dropQueue(): void {
    if (this.queued === 0) return;
    this.#queue?.clear();
    this.#countResponse();
  }

  /** Marks the stream as queued in the sender; returns false if it was. */
  enterLine(): boolean {
    const enters = !this.#isInLine;
    this.#isInLine = true;
    return enters;
  }

  /** Marks it as not queued; returns whether it was. */
  leaveLine(): boolean {
    const stood = this.#isInLine;
    this.#isInLine = false;
    return stood;
  }

  /** The writer may continue. */
  drained(): void {
    if (!this.#wantsDrain) return;
    this.#wantsDrain = false;
    this.#events?.drain();
  }

  // State for eviction.

  /** Bytes held. */
  get heldBytes(): number {
    return this.#heldBytes + (this.carried?.heldBytes ?? 0);
  }

  /** Bytes of request and response messages, including retained ones. */
  get messageBytes(): number {
    const { calls, headers } = Held;
    const others = (this.#held[calls] ?? 0) + (this.#held[headers] ?? 0);
    return this.#heldBytes - others + (this.carried?.messageBytes ?? 0);
  }

  /** True while it waits for admission. */
  get isWaiting(): boolean {
    return this.#isWaiting;
  }

  /** True if it receives an admitted message, or sends a response of no more bytes. */
  get isAdmitted(): boolean {
    const isCarriedAdmitted = this.carried?.isAdmitted ?? false;
    return this.#isAdmitted || isCarriedAdmitted || this.messageBytes < this.#given;
  }

  /** True if its peer is in this process: it is given the buffers of its messages, which have been admitted. */
  get isInner(): boolean {
    return false;
  }

  /** True if it counts as a call. */
  get isCall(): boolean {
    return this.#isCall;
  }

  /** The turn of the last progress: a fair part of what it holds had arrived or been sent. */
  get progressedAt(): number {
    return Math.max(this.#progressedAt, this.carried?.progressedAt ?? 0);
  }

  #progress(bytes: number): void {
    this.#moved += bytes;
    if (this.#moved * progressPart < this.#heldBytes) return;
    this.#moved = 0;
    this.#progressedAt = this.#owner.flow.turn;
  }

  #countBodies(): void {
    this.hold(Held.bodies, this.#unconsumed + this.#kept);
  }

  #countResponse(): void {
    const trailers = this.#trailers?.length ?? 0;
    const queued = this.#queue?.held ?? 0;
    // The response may take as much as its request was admitted with.
    const last = Math.max(0, this.#lastGiven - (this.#held[Held.messages] ?? 0));
    this.hold(Held.responses, this.#unready + last + queued + trailersCost * trailers);
  }

  #endRemote(): void {
    if (!this.closed) this.#state = 'half-closed (remote)';
  }

  #countBody(length: number, endStream: boolean): void {
    if (this.#bodyLeft === undefined) return;
    this.#bodyLeft -= length;
    if (this.#bodyLeft < 0 || (endStream && this.#bodyLeft > 0)) {
      throw this.#error('PROTOCOL_ERROR', 'Cannot accept a body of another length');
    }
  }

  #error(code: Code, message: string): StreamError {
    return new StreamError(this.id, code, message);
  }
}

/** Until they are sent, trailers are kept encoded, as text, and as metadata, in bytes if binary. */
const trailersCost = 4;
