import { type Account, type Category, Held } from '../account.ts';
import type { Flow } from '../scheduler.ts';
import { type Code, type ConnectionError, StreamError } from './errors.ts';
import { ReceiveWindow, SendWindow, type Payload, SendQueue } from './flow_control.ts';
import type { RequestHeaders } from './request_headers.ts';
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
  /** Its place is wanted for others: it ends now. */
  evicted?(): void;
  /** Whoever translates its request cannot: that is the caller's fault. */
  refused?(error: Error): void;
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
  /** What the connection holds. */
  readonly account: Account;
  /** Sends a HEADERS frame now. */
  sendHeaders(stream: Stream, block: Buffer, endStream: boolean): void;
  /** Sends a part of a body as windows allow. False: that is enough for now. */
  send(stream: Stream, bytes: Uint8Array): boolean;
  /** Ends the response after what the stream has queued. */
  endQueued(stream: Stream): void;
  /** Ends the response with what leaves now; see Stream.abandon(). */
  abandon(stream: Stream): void;
  /** Gives the peer room on the stream for what has been consumed. */
  giveBack(stream: Stream, bytes: number): void;
  /** Ends the stream with RST_STREAM. */
  reset(stream: Stream, code: number): void;
  /** There is something to count anew, or to send. */
  wake(): void;
}

/** What a stream begins with: its windows, and what its peer says of itself. */
interface StreamParts {
  send: number;
  receive: number;
  peer: PeerSettings;
}

/** A connection with so many open streams is served even when the server keeps far too much: it may be a probe's. */
export const fewStreams = 2;

/** Of what a stream holds, what has to move in a while: else it makes no progress. */
const progressPart = 16;

/**
 * RFC 9113 section 5.1, as a server has it that pushes nothing. A stream is there once its request has begun. Its
 * response is the last to end: one that ends before the request does resets the rest of that (section 8.1).
 */
type State = 'open' | 'half-closed (remote)' | 'closed';

/** One request and its response. */
export class Stream {
  readonly id: number;
  readonly sendWindow: SendWindow;
  readonly receiveWindow: ReceiveWindow;
  /** The index's own. */
  behind: Stream | undefined;
  readonly #owner: StreamOwner;
  readonly #peer: PeerSettings;
  #events: StreamEvents | undefined;
  #state: State = 'open';
  /** How the response ends has been decided, though it may not have left. */
  #isEnding = false;
  #trailers: Buffer | undefined;
  /** Body bytes that `content-length` promises and that have not come (section 8.1.1). */
  #bodyLeft: number | undefined;
  /** Body bytes that have been told and not been consumed. */
  #unconsumed = 0;
  /** Those that whoever serves it has consumed and still keeps. */
  #kept = 0;
  /** Bytes of a response that are not ready to be sent. */
  #unready = 0;
  /** Those of the last one, which whoever serves it keeps until it goes on. */
  #lastGiven = 0;
  /** What of the response waits for a window, once anything does. */
  #queue: SendQueue | undefined;
  #isInLine = false;
  #wantsDrain = false;
  #isCall = false;
  #isAdmitted = false;
  /** Bytes that the last of its messages was given room for. */
  #given = 0;
  /** Bytes by which its window has been widened. */
  #widened = 0;
  /** Other threads' work on its messages that is under way. */
  #jobs = 0;
  #isReleased = false;
  #isWaiting = false;
  /** What it holds, by category. */
  readonly #held = [0, 0, 0, 0, 0, 0, 0];
  #heldBytes = 0;
  /** The turn when enough had moved, and what has moved since. */
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

  /** Its connection's part of what the server does: whatever it has done is counted there. */
  get flow(): Flow {
    return this.#owner.flow;
  }

  /** What its connection holds. */
  get account(): Account {
    return this.#owner.account;
  }

  /** What the peer takes of a header list, in bytes as RFC 9113 section 6.5.2 counts them. */
  get maxHeaderListSize(): number {
    return this.#peer.maxHeaderListSize;
  }

  /** Who serves it, as soon as the request is known. */
  get events(): StreamEvents | undefined {
    return this.#events;
  }

  /** The peer has ended its side. */
  get remoteEnded(): boolean {
    return this.#state === 'half-closed (remote)' || this.#state === 'closed';
  }

  /** Neither side can do anything any more. */
  get closed(): boolean {
    return this.#state === 'closed';
  }

  /** Nothing more can be added to the response. */
  get isEnding(): boolean {
    return this.#isEnding;
  }

  // What comes from the peer: called by its connection.

  /** The request has come: a header list of so many bytes. Throws a StreamError where its body has another length. */
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

  /** The request is known, and somebody serves it from now on. */
  serve(events: StreamEvents): void {
    this.#events = events;
    if (this.#state === 'half-closed (remote)') events.end([]);
  }

  /**
   * DATA has come, of which `body` is what is not padding (section 6.1). Throws a StreamError where there may be none,
   * or not so much.
   */
  receiveData(body: Buffer, length: number, endStream: boolean): void {
    if (this.remoteEnded) throw this.#error('STREAM_CLOSED', 'Cannot take DATA after the end');
    this.#unconsumed += length;
    this.#countBodies();
    if (!this.receiveWindow.take(length)) {
      throw this.#error('FLOW_CONTROL_ERROR', 'Cannot take DATA beyond the window');
    }
    this.#progress(body.length);
    if (body.length < length) this.consume(length - body.length);
    this.#countBody(body.length, endStream);
    // Whoever serves it need not keep what nothing follows.
    if (endStream) this.#endRemote();
    if (body.length > 0) this.#events?.data(body);
    if (endStream && !this.closed) this.#events?.end([]);
  }

  /** Throws a StreamError where no trailers may come (section 8.1). */
  checkTrailers(endStream: boolean): void {
    if (this.remoteEnded) throw this.#error('STREAM_CLOSED', 'Cannot take HEADERS after the end');
    if (!endStream) throw this.#error('PROTOCOL_ERROR', 'Cannot take trailers that do not end it');
  }

  /** The request has ended with trailers. Throws a StreamError where its body has another length. */
  receiveTrailers(trailers: readonly string[], overLimit?: number): void {
    this.#countBody(0, true);
    this.#endRemote();
    this.#events?.end(trailers, overLimit);
  }

  /** It is over: nothing comes or goes any more. */
  close(): void {
    if (this.#isAdmitted) this.#owner.account.admit(-1);
    this.#owner.account.widen(-this.#widened);
    this.#state = 'closed';
    this.#isEnding = true;
  }

  /** Whoever has served it is done: it holds nothing from now on, but for what other threads have of it. */
  release(): void {
    const { account } = this.#owner;
    this.#isReleased = true;
    for (const category of ofStreams) {
      if (this.#jobs === 0 || !ofJobs.has(category)) this.#uncharge(category);
    }
    this.#heldBytes = 0;
    if (this.#isCall) account.count('calls', -1);
    account.count('streams', -1);
  }

  /** Another thread begins to work on one of its messages, or waits to: that cannot be taken back. */
  beginJob(): void {
    this.#jobs++;
  }

  /** It is done. */
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

  // What whoever serves it does.

  /** Sends response headers, an encoded block; informational ones may go before them. */
  respond(block: Buffer, how: { endStream: boolean } = { endStream: false }): void {
    if (this.#isEnding) return;
    this.#isEnding = how.endStream;
    this.#owner.sendHeaders(this, block, how.endStream);
  }

  /** Sends a part of the body, which is ours from now on. False: wait for drain() before the next. */
  write(bytes: Uint8Array): boolean {
    if (this.#isEnding) return true;
    const goOn = this.#owner.send(this, bytes);
    // What is empty is sent already.
    this.#wantsDrain = !goOn && this.queued > 0;
    return !this.#wantsDrain;
  }

  /** Ends the response with a last part of its body, if there is one, and trailers (an encoded block). */
  end(trailers?: Buffer, last?: Uint8Array): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    this.#trailers = trailers;
    this.#lastGiven = 0;
    if (last && last.length > 0) this.#owner.send(this, last);
    else this.#owner.endQueued(this);
    // Most often they have left by now.
    if (!this.closed) this.#countResponse();
  }

  /**
   * Ends the response now, though it may have been ended before: the parts that windows have room for are
   * sent, the others are dropped, and then come trailers (an encoded block). Where the peer has got half of
   * a part, the stream is reset with CANCEL instead.
   */
  abandon(trailers?: Buffer): void {
    if (this.closed) return;
    this.#isEnding = true;
    this.#trailers = trailers;
    this.#owner.abandon(this);
  }

  /** Says that so many bytes of the body are done with: the peer may send as many more. */
  consume(bytes: number): void {
    if (this.closed) return;
    this.discard(bytes);
    this.#owner.giveBack(this, bytes);
  }

  /** Says that nobody takes so many bytes of the body, or more than those: the peer gets no room for others. */
  discard(bytes: number): void {
    if (this.closed) return;
    this.#unconsumed -= bytes;
    this.#countBodies();
  }

  /** Says how many consumed bytes of the body are still kept for it. */
  keep(bytes: number): void {
    if (this.closed || bytes === this.#kept) return;
    this.#kept = bytes;
    this.#countBodies();
    this.#owner.wake();
  }

  /** Says how many bytes of a response are kept that is not ready to be sent. */
  keepResponse(bytes: number): void {
    if (this.closed) return;
    this.#unready = bytes;
    this.#countResponse();
  }

  /** Says how many bytes the last response has, which is kept until there is another, or the last of all. */
  keepLast(bytes: number): void {
    if (this.closed) return;
    this.#lastGiven = bytes;
    this.#countResponse();
  }

  /** Says how many bytes of a category are held for it now. */
  hold(category: Category, bytes: number): void {
    const before = this.#held[category] ?? 0;
    if (bytes === before || this.closed) return;
    this.#held[category] = bytes;
    this.#heldBytes += bytes - before;
    this.#owner.account.charge(category, bytes - before);
    if (category === Held.messages && this.#lastGiven > 0) this.#countResponse();
  }

  /** Says whether it counts among the calls that are limited. */
  countCall(isCall: boolean): void {
    if (this.#isCall === isCall || this.closed) return;
    this.#isCall = isCall;
    this.#owner.account.count('calls', isCall ? 1 : -1);
  }

  /** It receives a message that has been given room for so many bytes: its connection is read on for that. */
  admit(bytes: number): void {
    this.#given = bytes;
    if (this.#isAdmitted || this.closed) return;
    this.#isAdmitted = true;
    this.#owner.account.admit(1);
  }

  /** The message has been served. What answers it may take its room. */
  endAdmission(): void {
    if (!this.#isAdmitted || this.closed) return;
    this.#isAdmitted = false;
    this.#owner.account.admit(-1);
  }

  /** Widens its window where there is room: gives by how much. */
  widen(size: number): number {
    const more = this.receiveWindow.missing(size);
    if (more === 0 || !this.#owner.account.widen(more)) return 0;
    this.#widened += more;
    return this.receiveWindow.widen(more);
  }

  /** Says whether it waits for room, and so makes no progress by no fault of its own. */
  wait(isWaiting: boolean): void {
    if (this.#isWaiting === isWaiting) return;
    this.#isWaiting = isWaiting;
    this.#progressedAt = this.#owner.flow.turn;
  }

  /** Gives the stream up, with an error code of RFC 9113 section 7. */
  reset(code: number): void {
    if (!this.closed) this.#owner.reset(this, code);
  }

  // What waits to be sent: called by its connection's sender.

  /** Bytes that wait. */
  get queued(): number {
    return this.#queue?.length ?? 0;
  }

  /** The same as they count; see SendQueue. */
  get queuedCost(): number {
    return this.#queue?.cost ?? 0;
  }

  /** What ends the response behind its body, if it is no DATA frame. */
  get trailers(): Buffer | undefined {
    return this.#trailers;
  }

  /** Whether the peer has got the beginning of a part, and not its end. */
  get isSplit(): boolean {
    return this.#queue?.isSplit ?? false;
  }

  /** Bytes of those parts that fit as a whole into so many. */
  wholeParts(room: number): number {
    return this.#queue?.wholeParts(room) ?? 0;
  }

  queue(bytes: Uint8Array): void {
    (this.#queue ??= new SendQueue()).add(bytes);
    this.#countResponse();
  }

  /** Moves so many bytes of what waits into a frame. */
  moveTo(output: Payload, length: number): void {
    this.#queue?.moveTo(output, length);
    this.#countResponse();
    this.#progress(length);
  }

  /** Drops what waits. */
  dropQueue(): void {
    if (this.queued === 0) return;
    this.#queue?.clear();
    this.#countResponse();
  }

  /** Whether it has to be put in line: false where it stands there already. */
  enterLine(): boolean {
    const enters = !this.#isInLine;
    this.#isInLine = true;
    return enters;
  }

  /** Whether it stood in line, which it does no more. */
  leaveLine(): boolean {
    const stood = this.#isInLine;
    this.#isInLine = false;
    return stood;
  }

  /** There is room again for what it may hold. */
  drained(): void {
    if (!this.#wantsDrain) return;
    this.#wantsDrain = false;
    this.#events?.drain();
  }

  // What is asked of it where there is too much.

  /** Bytes that are held for it. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Those of messages, on their way in or out, and of what is kept of them. */
  get messageBytes(): number {
    const { calls, headers } = Held;
    return this.#heldBytes - (this.#held[calls] ?? 0) - (this.#held[headers] ?? 0);
  }

  /** Whether it waits for room. */
  get isWaiting(): boolean {
    return this.#isWaiting;
  }

  /** Whether it receives a message that has been given room, or sends what answers it in no more than that. */
  get isAdmitted(): boolean {
    return this.#isAdmitted || this.messageBytes < this.#given;
  }

  /** Whether it counts among the calls that are limited. */
  get isCall(): boolean {
    return this.#isCall;
  }

  /** The turn when it last had moved on: a fair part of what it holds had come, or had left. */
  get progressedAt(): number {
    return this.#progressedAt;
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
    // There is room for an answer that is no larger than its request.
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
      throw this.#error('PROTOCOL_ERROR', 'Cannot take a body of another length');
    }
  }

  #error(code: Code, message: string): StreamError {
    return new StreamError(this.id, code, message);
  }
}

/** Whoever serves it keeps the status that they say until they have left, in words. */
const trailersCost = 2;

/** Those that a stream can hold. */
const ofStreams = [
  Held.calls,
  Held.headers,
  Held.bodies,
  Held.messages,
  Held.retained,
  Held.responses,
] as const;

/** What other threads work on. */
const ofJobs: ReadonlySet<Category> = new Set([Held.messages, Held.responses]);
