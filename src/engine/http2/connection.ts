import { type Account, Accounts, Held, type Limited } from '../account.ts';
import { ConnectionError, ErrorCode, lowerCase, WrongProtocol } from './errors.ts';
import { type Frame, FrameType, maxInt31, FrameReader } from './frames.ts';
import { Inbound } from './inbound.ts';
import type { Incident } from './incident.ts';
import type { Http2Limits } from './limits.ts';
import { OpenStreams } from './open_streams.ts';
import { Sender } from './sender.ts';
import { copyWork, type Flow, unbounded } from '../scheduler.ts';
import { defaultPeerSettings, ownSettings } from './settings.ts';
import { fewStreams, type Serve, type Stream } from './stream.ts';

/** What a connection is made with. */
export interface ConnectionDeps {
  limits: Http2Limits;
  /** What it holds is counted here, but for what waits in the socket; a connection without one is alone. */
  account?: Account | undefined;
  /** Its part of what the server does. */
  flow?: Flow;
  serve: Serve;
  /** Called when there is something to write, or less is held than before. */
  wake: () => void;
  /** Of what take() gave, the bytes that wait in the socket. */
  unsent?: (() => number) | undefined;
  /** Bytes that the socket has read and receive() has not got. */
  unread?: (() => number) | undefined;
  /** Milliseconds. */
  now: () => number;
  /** Told what goes wrong. */
  report?: ((incident: Incident) => void) | undefined;
  /** What is said to a peer that speaks HTTP/1.1, or words that are none: all of a response. */
  http1Response?: (() => Buffer) | undefined;
  /** Given what a peer of HTTP/1.1 has said so far; this connection is over then, and has said nothing. */
  onHttp1?: ((said: Buffer) => void) | undefined;
}

/** The payload of the PING whose answer says that our first GOAWAY has arrived. */
const goAwayPing = Buffer.from('goingout', 'latin1');

/**
 * The server's side of one HTTP/2 connection (RFC 9113), without a socket: bytes go in by receive(),
 * and come out by take().
 */
export class Connection {
  readonly #wake: ConnectionDeps['wake'];
  readonly #flow: Flow;
  readonly #account: Account;
  readonly #unsent: () => number;
  readonly #unread: () => number;
  readonly #sender: Sender;
  readonly #streams: OpenStreams;
  readonly #inbound: Inbound;
  readonly #reader: FrameReader;
  readonly #report: (incident: Incident) => void;
  readonly #http1Response: (() => Buffer) | undefined;
  readonly #onHttp1: ((said: Buffer) => void) | undefined;
  #state: 'open' | 'draining' | 'drained' | 'failed' = 'open';
  /** What is charged to the account now, beside what streams are. */
  readonly #held = { input: 0, headers: 0, remembered: 0, output: 0, inSocket: 0 };
  #isClosed = false;
  /** Before the peer has said what it speaks, we say nothing that HTTP/1.1 could not read. */
  #mayTalk = false;

  constructor({
    limits,
    account = alone(),
    flow = unbounded,
    serve,
    wake,
    unsent = none,
    unread = none,
    now,
    report = () => {},
    http1Response,
    onHttp1,
  }: ConnectionDeps) {
    const peer = defaultPeerSettings();
    this.#wake = wake;
    this.#account = account;
    this.#unsent = unsent;
    this.#unread = unread;
    this.#flow = flow;
    this.#report = report;
    this.#http1Response = http1Response;
    this.#onHttp1 = onHttp1;
    const onEnded = (stream: Stream) => this.#streams.onResponseEnded(stream);
    this.#sender = new Sender({ peer, limits, account, unsent, onEnded });
    this.#streams = new OpenStreams({
      limits,
      account,
      flow,
      wake: () => this.#changed(),
      report,
      sender: this.#sender,
    });
    this.#inbound = new Inbound({
      limits,
      flow,
      serve,
      now,
      peer,
      owner: this.#streams,
      streams: this.#streams.table,
      sender: this.#sender,
      onPingAnswer: (payload) => payload.equals(goAwayPing) && this.finishShutdown(),
      acceptsStreams: () => this.#state !== 'drained',
    });
    const onFrame = (frame: Frame) => {
      this.#inbound.onFrame(frame);
      if (this.isOverfull) throw tooMuch();
    };
    this.#reader = new FrameReader(onFrame, () => flow.isSpent && !flow.isCrowded);
    this.#sender.output.frame(FrameType.SETTINGS, 0, 0, ownSettings(limits));
    this.#sender.windowUpdate(0, limits.connectionWindowSize - 65_535);
  }

  /** How many streams are open. */
  get openStreams(): number {
    return this.#streams.table.size;
  }

  /** The identifier of the stream that the peer opened last; 0 before the first. */
  get lastStreamId(): number {
    return this.#streams.table.lastId;
  }

  /** Whether the peer is more than a greeting: it has heard our SETTINGS, or has opened a stream. */
  get hasAnswered(): boolean {
    return this.#inbound.hasAnswered || this.lastStreamId > 0;
  }

  /** Bytes that forget() frees. */
  get spareBytes(): number {
    const { size, rememberedBytes } = this.#streams.table;
    return this.#inbound.cachedBytes + (size === 0 ? rememberedBytes : 0);
  }

  /**
   * Frees what is kept for speed, and without open streams what is kept for frames that crossed our resets
   * of them: few come then, and those have an answer, too.
   */
  forget(): void {
    const { table } = this.#streams;
    this.#inbound.dropCache();
    if (table.size === 0) table.forgetResets();
    this.count();
  }

  /** Whether what is kept is all of the peer: nothing that it says could make that less. */
  get onlyReceives(): boolean {
    return this.#sender.queuedCost === 0 && this.#account.bodies > 0;
  }

  /** Whether it has a part in what is kept: bodies, the peer's or ours, or more streams than a few. */
  get holdsMuch(): boolean {
    return this.#account.bodies > 0 || this.#streams.table.size >= fewStreams;
  }

  /** Whether the client has said that it speaks HTTP/2. */
  get hasPreface(): boolean {
    return this.#reader.hasPreface;
  }

  /** Whether nothing will come out any more, once what there is has been taken. */
  get isOver(): boolean {
    return (
      this.#state === 'failed' || (this.#state === 'drained' && this.#streams.table.size === 0)
    );
  }

  /** Whether nothing that it held is counted any more: its socket is gone, or is to go at once. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Whether it has ended with an error. */
  get hasFailed(): boolean {
    return this.#state === 'failed';
  }

  /** Whether take() has something to give, if there is room for it. */
  get wantsToSend(): boolean {
    return this.#mayTalk && (this.#sender.output.length > 0 || this.#sender.wantsToSend);
  }

  /** Bytes of what receive() got that wait for goOn(): this connection has done its part for now. */
  get restBytes(): number {
    return this.#reader.restBytes;
  }

  /** Takes what the socket has read. */
  receive(chunk: Buffer): void {
    this.#mayTalk = true;
    this.#flow.spend(copyWork(chunk.length));
    this.#read(chunk);
  }

  /** Goes on with what receive() has left. */
  goOn(): void {
    this.#read();
  }

  #read(chunk?: Buffer): void {
    if (this.#state === 'failed') return;
    try {
      if (chunk) this.#reader.read(chunk);
      else this.#reader.goOn();
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error;
      if (chunk && error instanceof WrongProtocol && this.#handOver(error, chunk)) return;
      this.fail(error);
    }
    this.#flow.putOff(this.#reader.restBytes);
    this.count();
  }

  /** False where nobody speaks HTTP/1.1, or we have said something of HTTP/2 already. */
  #handOver({ protocol, before }: WrongProtocol, chunk: Buffer): boolean {
    if (protocol !== 'http1' || !this.#onHttp1 || this.#state !== 'open') return false;
    this.#mayTalk = false;
    this.close();
    this.#onHttp1(Buffer.concat([before, chunk]));
    return true;
  }

  /** Bytes that take() has to give, whatever room there is. */
  get readyBytes(): number {
    return this.#mayTalk ? this.#sender.output.length : 0;
  }

  /** The same, and what waits in the socket. */
  get unreadBytes(): number {
    return this.#sender.unreadBytes;
  }

  /** Whether the peer has left so much unread, where there is no room for it, that take() gives it up. */
  get isOverfull(): boolean {
    return this.#state !== 'failed' && this.#sender.hasLeftOut;
  }

  /**
   * Gives what is to be written, or about `most` bytes of it; without `room`, no more of what can wait. Once
   * it is over it gives all.
   */
  take({ room, most }: { room: boolean; most?: number }): Buffer[] {
    if (!this.#mayTalk) return [];
    if (this.isOverfull) this.fail(tooMuch());
    if (room && this.#state !== 'failed') this.#sender.flush();
    const taken = this.#sender.output.take(this.isOver ? undefined : most);
    this.#countOften();
    return taken;
  }

  /** Asks the peer whether it is still there; any frame says yes. */
  ping(): void {
    this.#sender.output.frame(FrameType.PING, 0, 0, Buffer.alloc(8));
    this.#changed();
  }

  /**
   * Shuts down gracefully (RFC 9113 section 6.8), losing no request that is on its way: sends GOAWAY, and once
   * the peer has answered the PING behind it, another one with the last stream.
   */
  shutdown(): void {
    if (this.#state !== 'open') return;
    this.#state = 'draining';
    this.#mayTalk = true;
    this.#sender.goAway(maxInt31, ErrorCode.NO_ERROR);
    this.#sender.output.frame(FrameType.PING, 0, 0, goAwayPing);
    this.#changed();
  }

  /** The second half of shutdown(), for a peer that does not answer the PING. */
  finishShutdown(): void {
    if (this.#state !== 'draining') return;
    this.#state = 'drained';
    this.#sender.goAway(this.#streams.table.lastId, ErrorCode.NO_ERROR);
    this.#changed();
  }

  /** Ends every call now: the connection is about to be dropped. */
  expire(): void {
    this.finishShutdown();
    this.#streams.expire();
  }

  /**
   * Ends the connection with an error (RFC 9113 section 5.4.1); the message goes to the peer. It is reported
   * as what the error's code says, unless there is another reason.
   */
  fail(error: ConnectionError, reason = reasonOf(error)): void {
    if (this.#state === 'failed') return;
    this.#mayTalk = true;
    const { code, message } = error;
    if (error instanceof WrongProtocol && this.#hasWords(error)) this.#refuse(error.protocol);
    else this.#sender.goAway(this.#streams.table.lastId, code, message);
    this.#report({ reason, message });
    this.lost(error);
    this.#changed();
  }

  /** Whether it is better told otherwise than by GOAWAY. */
  #hasWords({ protocol }: WrongProtocol): boolean {
    return protocol === 'text' ? this.#http1Response !== undefined : protocol !== 'unknown';
  }

  /** A client of HTTP/1.1 gets an answer that it can show; one of TLS would take anything for garbage. */
  #refuse(protocol: WrongProtocol['protocol']): void {
    const { output } = this.#sender;
    output.take();
    if (protocol !== 'tls' && this.#http1Response) output.bytes(this.#http1Response());
  }

  /**
   * Ends what takes of something that is limited, and has gone longest without progress: a stream, or where most
   * of the bytes are none of its streams', the connection. Gives how much that is, or 0.
   */
  evict(limited: keyof Limited, since: number): number {
    const ownBytes = this.#ownBytes;
    if (limited === 'bytes' && this.#state !== 'failed' && 2 * ownBytes > this.#account.bytes) {
      this.fail(tooMuch());
      // Its socket goes at once.
      this.close();
      return ownBytes;
    }
    return this.#streams.evict(limited, since);
  }

  /** The same of streams that are in the middle of a message, and have made no progress since a turn. */
  evictStalled(since: number): number {
    return this.#streams.evictStalled(since);
  }

  /** The socket is closed, or is about to be for this error: what is open ends here. */
  lost(error?: ConnectionError): void {
    this.#state = 'failed';
    this.#reader.stop();
    this.#flow.putOff(0);
    this.#streams.end(error);
    this.count();
  }

  /** Its socket is gone. Calls back once nothing is held any more. */
  close(done: () => void = () => {}): void {
    this.lost();
    this.#streams.whenEnded(done);
    this.#isClosed = true;
    this.#hold('input', 0);
    this.#hold('headers', 0);
    this.#hold('remembered', 0);
    this.#hold('output', 0);
    this.#hold('inSocket', 0);
  }

  /** There is more to send, or less: that happens often. */
  #changed(): void {
    this.#countOften();
    this.#wake();
  }

  /** Charges what the connection holds beside its streams. To be called when its socket has taken something. */
  count(): void {
    if (this.#isClosed) return;
    this.#hold('input', this.#reader.heldBytes + this.#unread());
    this.#hold('headers', this.#inbound.heldBytes);
    this.#hold('inSocket', this.#unsent());
    this.#countOften();
  }

  #countOften(): void {
    if (this.#isClosed) return;
    this.#hold('output', this.#sender.output.length);
    this.#hold('remembered', this.#streams.table.rememberedBytes);
  }

  #hold(what: keyof typeof ownCategories, bytes: number): void {
    const before = this.#held[what];
    if (bytes === before) return;
    // First: where there is no room, forget() is called meanwhile.
    this.#held[what] = bytes;
    this.#account.charge(ownCategories[what], bytes - before);
  }

  get #ownBytes(): number {
    const { input, headers, remembered, output, inSocket } = this.#held;
    return input + headers + remembered + output + inSocket;
  }
}

/** What a connection holds beside its streams, and what that is charged as. */
const ownCategories = {
  input: Held.input,
  headers: Held.headers,
  remembered: Held.headers,
  output: Held.output,
  inSocket: Held.output,
} as const;

function none(): number {
  return 0;
}

/** An account of a connection that shares with no other. */
function alone(): Account {
  return new Accounts().open(undefined);
}

function tooMuch(): ConnectionError {
  return new ConnectionError('ENHANCE_YOUR_CALM', 'Cannot hold so much for one peer');
}

function reasonOf(error: ConnectionError): Incident['reason'] {
  if (error instanceof WrongProtocol) {
    if (error.protocol === 'http1' || error.protocol === 'text') return 'http1';
    if (error.protocol === 'tls') return 'tls_on_plaintext';
  }
  return `goaway_${lowerCase(error.codeName)}`;
}
