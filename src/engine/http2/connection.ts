import { type Account, Accounts, type Limited } from '../account.ts';
import { Held } from '../held.ts';
import type { ConnectionFaults } from './connection_faults.ts';
import { ConnectionError, ErrorCode, lowerCase, WrongProtocol } from './errors.ts';
import { type Frame, frameHeaderLength, FrameType, maxInt31, FrameReader } from './frames.ts';
import { Inbound } from './inbound.ts';
import type { Incident } from './incident.ts';
import { fewStreams, type Http2Limits } from './limits.ts';
import { OpenStreams } from './open_streams.ts';
import { Sender } from './sender.ts';
import { copyWork, cost, type Flow, unbounded } from '../scheduler.ts';
import { defaultPeerSettings, ownSettings } from './settings.ts';
import type { Serve, Stream } from './stream.ts';

/** Dependencies of a connection. */
export interface ConnectionDeps {
  limits: Http2Limits;
  /**
   * Charged for what the connection holds, except for the socket's buffers. Without it, the connection shares with no
   * other.
   */
  account?: Account | undefined;
  /** Its share of the event loop. */
  flow?: Flow;
  serve: Serve;
  /** Called when there is output to write, or less memory is held. */
  wake: () => void;
  /** Bytes of take()'s output that are still in the socket. */
  unsent?: (() => number) | undefined;
  /** Bytes read by the socket that receive() has not got yet. */
  unread?: (() => number) | undefined;
  /** Milliseconds on a monotonic clock. */
  now: () => number;
  /** Called for connection errors. */
  report?: ((incident: Incident) => void) | undefined;
  /** The complete response to a peer that speaks HTTP/1.1, or sends other text. */
  http1Response?: (() => Buffer) | undefined;
  /** Without it, calls cannot close their connection on purpose. */
  faults?: ConnectionFaults | undefined;
  /** Takes over an HTTP/1.1 peer, with all bytes received so far. This one is closed then, and has sent nothing. */
  onHttp1?: ((received: Buffer) => void) | undefined;
}

/** A smaller chunk, in bytes, that completes no frame is a fragment; see Http2Limits. */
const maxFragment = 64;

/** The payload of the PING that follows the first GOAWAY; its ACK shows that the GOAWAY has arrived. */
const goAwayPing = Buffer.from('goingout', 'latin1');

/**
 * The server side of an HTTP/2 connection (RFC 9113) without a socket: receive() takes input, take() returns output.
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
  readonly #onHttp1: ((received: Buffer) => void) | undefined;
  #state: 'open' | 'draining' | 'drained' | 'failed' = 'open';
  /** The current charges to the account, except those of streams. */
  readonly #held = { input: 0, block: 0, table: 0, remembered: 0, output: 0, inSocket: 0 };
  /** True while it holds much that belongs to no stream. */
  #holds = false;
  #isClosed = false;
  /** False until the preface has arrived: before it, no output is sent that an HTTP/1.1 client could not read. */
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
    faults = { drop: none, retire: none },
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
      faults,
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
    this.#reader = new FrameReader(onFrame, () => flow.isSpent);
    this.#sender.output.frame(FrameType.SETTINGS, 0, 0, ownSettings(limits));
    this.#sender.windowUpdate(0, limits.connectionWindowSize - 65_535);
  }

  /** The number of open streams. */
  get openStreams(): number {
    return this.#streams.table.size;
  }

  /** The highest stream identifier that the peer has opened; 0 before the first. */
  get lastStreamId(): number {
    return this.#streams.table.lastId;
  }

  /** True if the peer has sent more than its preface: it has acknowledged SETTINGS, or opened a stream. */
  get hasAnswered(): boolean {
    return this.#inbound.hasAnswered || this.lastStreamId > 0;
  }

  /** Bytes that forget() frees. */
  get spareBytes(): number {
    const { size, rememberedBytes } = this.#streams.table;
    return this.#inbound.cachedBytes + (size === 0 ? rememberedBytes : 0);
  }

  /**
   * Frees caches and, if no stream is open, the list of reset streams: few frames for those arrive then, and they get
   * an answer as well.
   */
  forget(): void {
    const { table } = this.#streams;
    this.#inbound.dropCache();
    if (table.size === 0) table.forgetResets();
    this.count();
  }

  /** True if all memory held is the peer's input, so that nothing it sends could free any. */
  get onlyReceives(): boolean {
    return this.#sender.queuedCost === 0 && (this.#account.bodies > 0 || this.#isReceiving);
  }

  /** True if the connection holds bodies, much of an incomplete frame or header block, or more than a few streams. */
  get holdsMuch(): boolean {
    const { size } = this.#streams.table;
    return this.#account.bodies > 0 || this.#isReceiving || size >= fewStreams;
  }

  /** True if most of what it holds are bodies and other input, and not open streams. */
  get holdsMostlyInput(): boolean {
    return 2 * (this.#passingBytes + this.#account.bodies) > this.#account.bytes;
  }

  /** True while much of a frame or header block has arrived that is incomplete. */
  get #isReceiving(): boolean {
    const { heldBytes, restBytes } = this.#reader;
    return heldBytes - restBytes + this.#held.block >= much;
  }

  /** True once the client's connection preface has arrived. */
  get hasPreface(): boolean {
    return this.#reader.hasPreface;
  }

  /** True once no more output is produced, apart from what take() still has. */
  get isOver(): boolean {
    return (
      this.#state === 'failed' || (this.#state === 'drained' && this.#streams.table.size === 0)
    );
  }

  /** True once all charges are released: the socket is closed, or is about to be. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** True if the connection ended with an error. */
  get hasFailed(): boolean {
    return this.#state === 'failed';
  }

  /** True if take() has output, given room in the socket. */
  get wantsToSend(): boolean {
    return this.#mayTalk && (this.#sender.output.length > 0 || this.#sender.wantsToSend);
  }

  /** Bytes of input that wait for goOn(), as the quota of this turn is used up. */
  get restBytes(): number {
    return this.#reader.restBytes;
  }

  /** Processes a chunk of input. */
  receive(chunk: Buffer): void {
    this.#flow.spend(cost.chunk + copyWork(chunk.length));
    this.#read(chunk);
    if (this.hasPreface) this.#mayTalk = true;
  }

  /** Continues with the input that receive() deferred. */
  goOn(): void {
    this.#read();
  }

  #read(chunk?: Buffer): void {
    if (this.#state === 'failed') return;
    const { frames, restBytes } = this.#reader;
    // Deferred input may be whole frames.
    const whole = restBytes > 0 ? frameHeaderLength : maxFragment;
    try {
      if (chunk) this.#reader.read(chunk);
      else this.#reader.goOn();
      if (chunk && chunk.length < whole && this.#reader.frames === frames) {
        this.#inbound.onFragment();
      }
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error;
      if (chunk && error instanceof WrongProtocol && this.#handOver(error, chunk)) return;
      this.fail(error);
    }
    this.count();
  }

  /** Hands an HTTP/1.1 peer over. Returns false if HTTP/1.1 is not served, or HTTP/2 output may have been sent. */
  #handOver({ protocol, before }: WrongProtocol, chunk: Buffer): boolean {
    if (protocol !== 'http1' || !this.#onHttp1 || this.#state !== 'open') return false;
    this.#mayTalk = false;
    // The rest of its buffer serves other connections.
    this.#sender.output.take();
    this.close();
    this.#onHttp1(before.length === 0 ? chunk : Buffer.concat([before, chunk]));
    return true;
  }

  /** Bytes that take() returns even if the socket is full. */
  get readyBytes(): number {
    return this.#mayTalk ? this.#sender.output.length : 0;
  }

  /** The same, plus the bytes in the socket. */
  get unreadBytes(): number {
    return this.#sender.unreadBytes;
  }

  /** True if the peer leaves so much unread above the byte limit that take() ends the connection. */
  get isOverfull(): boolean {
    return this.#state !== 'failed' && this.#sender.hasLeftOut;
  }

  /**
   * Returns about `most` bytes of output; without `room`, only what cannot wait. Returns everything once the
   * connection is over.
   */
  take({ room, most }: { room: boolean; most?: number }): Buffer[] {
    if (!this.#mayTalk) return [];
    if (this.isOverfull) this.fail(tooMuch());
    if (room && this.#state !== 'failed') this.#sender.flush();
    const taken = this.#sender.output.take(this.isOver ? undefined : most);
    this.#countOften();
    return taken;
  }

  /** Must be called at the end of a turn: output that is still pending is kept in memory of its own. */
  compact(): void {
    const { output } = this.#sender;
    if (output.length > 0) output.compact();
  }

  /** Sends a keepalive PING; any frame counts as an answer. */
  ping(): void {
    this.#sender.output.frame(FrameType.PING, 0, 0, Buffer.alloc(8));
    this.#changed();
  }

  /**
   * Shuts down gracefully without losing requests in flight (RFC 9113 section 6.8): sends GOAWAY and a PING, and when
   * the PING is acknowledged, a second GOAWAY with the last stream identifier.
   */
  shutdown(): void {
    if (this.#state !== 'open') return;
    this.#state = 'draining';
    this.#mayTalk = true;
    this.#sender.goAway(maxInt31, ErrorCode.NO_ERROR);
    this.#sender.output.frame(FrameType.PING, 0, 0, goAwayPing);
    this.#changed();
  }

  /** Sends the second GOAWAY, for a peer that does not acknowledge the PING. */
  finishShutdown(): void {
    if (this.#state !== 'draining') return;
    this.#state = 'drained';
    this.#sender.goAway(this.#streams.table.lastId, ErrorCode.NO_ERROR);
    this.#changed();
  }

  /** Ends every call now, as the connection is about to be closed. */
  expire(): void {
    this.finishShutdown();
    this.#streams.expire();
  }

  /**
   * Ends the connection with an error (RFC 9113 section 5.4.1); the peer gets its message. The incident has the
   * reason that belongs to the error code, unless another is given.
   */
  fail(error: ConnectionError, reason = reasonOf(error)): void {
    if (this.#state === 'failed') return;
    this.#mayTalk = true;
    const { code, message } = error;
    if (error instanceof WrongProtocol && this.#isRefusable(error)) this.#refuse(error.protocol);
    else this.#sender.goAway(this.#streams.table.lastId, code, message);
    this.#report({ reason, message });
    this.lost(error);
    this.#changed();
  }

  /** True if the peer can use something other than GOAWAY. */
  #isRefusable({ protocol }: WrongProtocol): boolean {
    return protocol === 'text' ? this.#http1Response !== undefined : protocol !== 'unknown';
  }

  /** A client of HTTP/1.1, or of text, gets a response that it can show; a TLS client could not read any. */
  #refuse(protocol: WrongProtocol['protocol']): void {
    const { output } = this.#sender;
    output.take();
    if (protocol !== 'tls' && this.#http1Response) output.bytes(this.#http1Response());
  }

  /**
   * Resets the stream that uses the resource and has gone longest without progress, or ends the connection if most of
   * the bytes do not belong to streams. Returns the amount freed, or 0.
   */
  evict(limited: keyof Limited, since: number): number {
    const ownBytes = this.#ownBytes;
    if (limited === 'bytes' && this.#state !== 'failed' && 2 * ownBytes > this.#account.bytes) {
      this.fail(tooMuch());
      // The socket is destroyed at once.
      this.close();
      return ownBytes;
    }
    return this.#streams.evict(limited, since);
  }

  /** Resets the stalled stream that waits in the middle of a message and has made no progress since turn `since`. */
  evictStalled(since: number): number {
    return this.#streams.evictStalled(since);
  }

  /** The socket is closed, or is about to be because of this error: ends all streams. */
  lost(error?: ConnectionError): void {
    this.#state = 'failed';
    this.#reader.stop();
    this.#streams.end(error);
    this.count();
  }

  /** Releases everything when the socket is closed. Calls back once nothing is held any more. */
  close(done: () => void = () => {}): void {
    this.lost();
    this.#streams.whenEnded(done);
    this.#isClosed = true;
    this.#hold('input', 0);
    this.#hold('block', 0);
    this.#hold('table', 0);
    this.#hold('remembered', 0);
    this.#hold('output', 0);
    this.#hold('inSocket', 0);
  }

  /** Output has changed, which happens often. */
  #changed(): void {
    this.#countOften();
    this.#wake();
  }

  /** Updates the charges, except those of streams. Must be called when the socket has sent data. */
  count(): void {
    if (this.#isClosed) return;
    this.#hold('input', this.#reader.heldBytes + this.#unread());
    this.#hold('block', this.#inbound.blockBytes);
    this.#hold('table', this.#inbound.tableBytes);
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
    // Set first, as charging above the limit calls forget().
    this.#held[what] = bytes;
    this.#account.charge(ownCategories[what], bytes - before);
    const holds = this.#passingBytes >= much;
    if (holds !== this.#holds) this.#account.setHolds((this.#holds = holds));
  }

  /** The bytes that belong to no stream, except for caches. */
  get #passingBytes(): number {
    const { input, block, output, inSocket } = this.#held;
    return input + block + output + inSocket;
  }

  get #ownBytes(): number {
    const { table, remembered } = this.#held;
    return this.#passingBytes + table + remembered;
  }
}

/** What an honest connection may hold at any time, in bytes: the start of a frame, and some control frames. */
const much = 1024;

/** The categories that a connection is charged in, except for its streams. */
const ownCategories = {
  input: Held.input,
  block: Held.headers,
  table: Held.headers,
  remembered: Held.headers,
  output: Held.output,
  inSocket: Held.output,
} as const;

function none(): number {
  return 0;
}

/** The account of a connection that shares with no other. */
function alone(): Account {
  return new Accounts().open(undefined);
}

function tooMuch(): ConnectionError {
  return new ConnectionError('ENHANCE_YOUR_CALM', 'Cannot buffer so much for one peer');
}

function reasonOf(error: ConnectionError): Incident['reason'] {
  if (error instanceof WrongProtocol) {
    if (error.protocol === 'http1' || error.protocol === 'text') return 'http1';
    if (error.protocol === 'tls') return 'tls_on_plaintext';
  }
  return `goaway_${lowerCase(error.codeName)}`;
}
