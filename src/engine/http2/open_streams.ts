import type { Account, Limited } from '../account.ts';
import { Held } from '../held.ts';
import { cost, type Flow } from '../scheduler.ts';
import { ConnectionError, ErrorCode, lowerCase, StreamError } from './errors.ts';
import { ReceiveWindow } from './flow_control.ts';
import type { Incident } from './incident.ts';
import type { Http2Limits } from './limits.ts';
import type { Sender } from './sender.ts';
import type { Stream, StreamOwner } from './stream.ts';

interface OpenStreamsDeps {
  limits: Http2Limits;
  account: Account;
  flow: Flow;
  sender: Sender;
  wake: () => void;
  report: (incident: Incident) => void;
}

/** A call that holds less of messages is not worth ending, in bytes. */
const leastWorth = 1024;

/** What the streams of a connection that is over end with, and those that are to be told. */
interface Ending {
  error: ConnectionError | undefined;
  streams: Stream[];
}

/** The streams of a connection: what they may do to it, and everything that ends one. */
export class OpenStreams implements StreamOwner {
  readonly table = new StreamTable();
  readonly flow: Flow;
  readonly account: Account;
  readonly wake: () => void;
  readonly #receiveWindow: ReceiveWindow;
  readonly #streamWindowSize: number;
  readonly #sender: Sender;
  readonly #report: (incident: Incident) => void;
  /** How many responses are complete. */
  completed = 0;
  /** Set once the connection is over. */
  #ending: Ending | undefined;
  #onEnded: (() => void) | undefined;

  constructor({ limits, account, flow, sender, wake, report }: OpenStreamsDeps) {
    this.#receiveWindow = new ReceiveWindow(limits.connectionWindowSize);
    this.#streamWindowSize = limits.streamWindowSize;
    this.account = account;
    this.flow = flow;
    this.#sender = sender;
    this.wake = wake;
    this.#report = report;
  }

  /** Whether the server has so much to do that it had better not even refuse this peer's calls one by one. */
  get isFlooded(): boolean {
    return this.account.mustStop || !this.account.admits('streams', 1);
  }

  /** Opens a stream that is known from now on; with the header list of its request it takes so many bytes. */
  open(stream: Stream, { streamCost, headers }: { streamCost: number; headers: number }): void {
    this.table.add(stream);
    this.account.count('streams', 1);
    this.flow.spend(cost.stream);
    stream.hold(Held.calls, streamCost);
    stream.hold(Held.headers, headers);
    this.wake();
  }

  /** Opens no stream for a request: its client may send it again (RFC 9113 section 8.7). */
  refuse(streamId: number, message: string): void {
    this.flow.spend(cost.reset);
    this.#report({ reason: 'rst_stream_refused_stream', message });
    this.#sendReset(streamId, ErrorCode.REFUSED_STREAM);
  }

  sendHeaders(stream: Stream, block: Buffer, endStream: boolean): void {
    this.#sender.headers(stream, block, endStream);
    this.wake();
  }

  send(stream: Stream, bytes: Uint8Array): boolean {
    const goOn = this.#sender.send(stream, bytes);
    this.wake();
    return goOn && this.account.mayGrow;
  }

  endQueued(stream: Stream): void {
    this.#sender.queued(stream);
    this.wake();
  }

  abandon(stream: Stream): void {
    if (this.#sender.cutShort(stream)) this.#sender.queued(stream);
    else this.reset(stream, ErrorCode.CANCEL);
    this.wake();
  }

  /**
   * Takes DATA of whichever stream, and gives the connection's window back at once. False where the peer
   * sends more than it may.
   */
  receive(bytes: number): boolean {
    if (!this.#receiveWindow.take(bytes)) return false;
    this.#sender.windowUpdate(0, this.#receiveWindow.consume(bytes));
    return true;
  }

  giveBack(stream: Stream, bytes: number): void {
    if (!stream.remoteEnded) {
      let more = stream.receiveWindow.consume(bytes);
      if (more > 0) more += stream.widen(this.#streamWindowSize);
      this.#sender.windowUpdate(stream.id, more);
    }
    this.wake();
  }

  reset(stream: Stream, code: number): void {
    this.#sendReset(stream.id, code);
    this.#remove(stream);
    this.wake();
  }

  /** Ends a stream with RST_STREAM, if it is open still, and tells whoever serves it. */
  fail(error: StreamError): void {
    const { streamId, code } = error;
    const stream = this.table.get(streamId);
    this.#report({ reason: `rst_stream_${lowerCase(error.codeName)}`, message: error.message });
    if (stream) {
      this.reset(stream, code);
      stream.events?.failed(error);
    } else this.#sendReset(streamId, code);
  }

  /** The peer has reset a stream. */
  onReset(stream: Stream, code: number): void {
    this.#remove(stream);
    stream.events?.reset(code);
  }

  /** A response that is whole before its request: the rest of it is of no use (section 8.1). */
  onResponseEnded(stream: Stream): void {
    this.completed++;
    if (stream.remoteEnded) this.#remove(stream);
    else this.reset(stream, ErrorCode.NO_ERROR);
    stream.events?.sent();
  }

  /**
   * Ends the stream that has gone longest without progress, of those that have their part in what is limited; no
   * message that has been given room and has gone on since that turn. Gives how much that was, or 0.
   */
  evict(limited: keyof Limited, since: number): number {
    if (this.#ending) return this.#tellNext(this.#ending) ?? 0;
    const streams = this.table.all().filter((stream) => {
      if (limited === 'calls') return stream.isCall;
      if (limited === 'streams') return true;
      return !stream.isWaiting && (!stream.isAdmitted || stream.progressedAt <= since);
    });
    let part = 0;
    if (limited === 'bytes') {
      for (const { heldBytes } of streams) part += heldBytes / streams.length;
    }
    const stream = stalestOf(streams.filter(({ heldBytes }) => heldBytes >= Math.floor(part)));
    if (!stream) return 0;
    const freed = limited === 'bytes' ? stream.heldBytes : 1;
    if (limited === 'calls' && stream.events?.evicted) stream.events.evicted();
    else this.#evict(stream);
    return freed;
  }

  /** The same of those that are in the middle of a message, and have made no progress since that turn. */
  evictStalled(since: number): number {
    if (this.#ending) return this.#tellNext(this.#ending) ?? 0;
    const stalled = this.table.all().filter(({ progressedAt, messageBytes, isWaiting }) => {
      return progressedAt <= since && messageBytes >= leastWorth && !isWaiting;
    });
    const stream = stalestOf(stalled);
    if (!stream) return 0;
    const freed = stream.heldBytes;
    this.#evict(stream);
    return freed;
  }

  #evict(stream: Stream): void {
    this.flow.spend(cost.reset);
    this.fail(new StreamError(stream.id, 'ENHANCE_YOUR_CALM', 'Cannot hold so much for one call'));
  }

  /** Has all of them ended, each in the words of whoever serves it. */
  expire(): void {
    for (const stream of this.table.all()) stream.events?.expire();
  }

  /**
   * Ends all of them: the connection is over, and with an error where that was for us to say. Whoever serves them is
   * told a few in each turn, as a thousand calls take a while to end; until then they are held, and count.
   */
  end(error: ConnectionError | undefined): void {
    if (this.#ending) return;
    const streams = this.table.all();
    this.#ending = { error, streams };
    for (const stream of streams) {
      this.#sender.drop(stream);
      stream.close();
    }
    this.#tell(this.#ending);
  }

  /** Calls back once none is left of a connection that is over. */
  whenEnded(done: () => void): void {
    if (this.table.size === 0) done();
    else this.#onEnded = done;
  }

  readonly #tell = (ending: Ending): void => {
    while (this.#tellNext(ending) !== undefined) {
      if (this.flow.isSpent) return this.flow.wait(() => this.#tell(ending));
    }
  };

  /** Gives the bytes that the one was charged, if there was one. */
  #tellNext({ error, streams }: Ending): number | undefined {
    const stream = streams.pop();
    if (!stream) return undefined;
    const { heldBytes } = stream;
    if (error) stream.events?.failed(error);
    else stream.events?.reset(ErrorCode.CANCEL);
    stream.release();
    this.table.remove(stream);
    this.flow.spend(cost.reset);
    if (this.table.size === 0) this.#onEnded?.();
    return heldBytes;
  }

  #sendReset(streamId: number, code: number): void {
    this.#sender.reset(streamId, code);
    this.table.rememberReset(streamId);
  }

  #remove(stream: Stream): void {
    this.#sender.drop(stream);
    stream.close();
    stream.release();
    this.table.remove(stream);
  }
}

/** A peer that has half of a message would take the reset for a broken one: others go first. */
function stalestOf(streams: readonly Stream[]): Stream | undefined {
  let stalest: Stream | undefined;
  for (const stream of streams) {
    if (!stalest || isStaler(stream, stalest)) stalest = stream;
  }
  return stalest;
}

function isStaler(one: Stream, other: Stream): boolean {
  if (one.isSplit !== other.isSplit) return other.isSplit;
  const isEven = one.progressedAt === other.progressedAt;
  return one.progressedAt < other.progressedAt || (isEven && one.id < other.id);
}

/** How many streams that we reset are remembered: the peer may have sent more before it knew. */
const remembered = 1000;

/** What each of them takes, in bytes. */
const rememberedCost = 32;

/** The streams of a connection: which are open, and what is known of those that are not. */
export class StreamTable {
  readonly #open = new StreamIndex<Stream>();
  /** Disguised: a peer could choose identifiers that a Set looks for a hundred times as long. */
  readonly #reset = new Set<number>();
  /** The highest identifier that the peer has used (RFC 9113 section 5.1.1). */
  lastId = 0;

  get size(): number {
    return this.#open.size;
  }

  /** Bytes that streams take that are open no more. */
  get rememberedBytes(): number {
    return this.#reset.size * rememberedCost;
  }

  get(id: number): Stream | undefined {
    return this.#open.get(id);
  }

  all(): Stream[] {
    return this.#open.all();
  }

  add(stream: Stream): void {
    this.#open.add(stream);
  }

  remove(stream: Stream): void {
    this.#open.delete(stream.id);
  }

  /** Frames that come for the stream from now on were sent before the peer knew (section 5.4.2). */
  rememberReset(id: number): void {
    this.#reset.add(disguise(id));
    if (this.#reset.size <= remembered) return;
    for (const oldest of this.#reset) {
      this.#reset.delete(oldest);
      break;
    }
  }

  /** Whether we have reset the stream, as far as that is remembered. */
  wasReset(id: number): boolean {
    return this.#reset.has(disguise(id));
  }

  /** Forgets those: frames that come for them still are answered with STREAM_CLOSED. */
  forgetResets(): void {
    this.#reset.clear();
  }

  /**
   * Throws what RFC 9113 section 5.1 asks for where a frame comes for a stream that is not open; one
   * that we reset is passed over.
   */
  refuseClosed(id: number, what: string): void {
    if (this.wasReset(id)) return;
    this.refuseIdle(id);
    throw new StreamError(
      id,
      'STREAM_CLOSED',
      `Cannot take ${what} for stream ${id}: it is closed`,
    );
  }

  /** Whether no stream of that identifier has been opened; even ones are ours, and we open none. */
  isIdle(id: number): boolean {
    return id > this.lastId || id % 2 === 0;
  }

  /** Throws where a stream is idle. */
  refuseIdle(id: number): void {
    if (!this.isIdle(id)) return;
    throw new ConnectionError('PROTOCOL_ERROR', `Cannot take a frame for stream ${id}: it is idle`);
  }

  /** Throws for the connection itself, and for a stream that only a server opens (section 5.1.1). */
  refuseEven(id: number): void {
    if (id % 2 === 1) return;
    throw new ConnectionError('PROTOCOL_ERROR', `Cannot open stream ${id}: it is even`);
  }

  /** Whether the identifier opens a new stream. Throws for one that is over. */
  isNew(id: number): boolean {
    if (id > this.lastId) {
      this.lastId = id;
      return true;
    }
    if (!this.#open.get(id) && !this.wasReset(id)) {
      throw new ConnectionError('STREAM_CLOSED', `Cannot open stream ${id}: it is closed`);
    }
    return false;
  }
}

/** What an index holds: it keeps its place in the index itself. */
export interface Indexed<T> {
  readonly id: number;
  /** The index's own: another one of the same slot. */
  behind: T | undefined;
}

const fewest = 8;
/** With more slots than this, an empty index begins anew. */
const mostKept = 64;
/** So many identifiers that follow each other, as those of one connection do, have a slot each. */
const runBits = 10;

/**
 * Streams by their identifier: a hash table with chains. A peer may leave out identifiers as it likes:
 * those that do not follow each other are scattered. It is no Map for the reason that unordered_set.ts gives.
 */
export class StreamIndex<T extends Indexed<T>> {
  #slots: (T | undefined)[] = emptySlots(fewest);
  #size = 0;
  /** The run asked for last, and where it begins. */
  #run = -1;
  #start = 0;

  get size(): number {
    return this.#size;
  }

  get(id: number): T | undefined {
    let found = this.#slots[this.#slotOf(id)];
    while (found && found.id !== id) found = found.behind;
    return found;
  }

  /** Those that are in it now. */
  all(): T[] {
    const all: T[] = [];
    for (const first of this.#slots) {
      for (let item = first; item; item = item.behind) all.push(item);
    }
    return all;
  }

  add(item: T): void {
    this.#size++;
    if (2 * this.#size > this.#slots.length) this.#grow();
    this.#put(item);
  }

  delete(id: number): void {
    const slot = this.#slotOf(id);
    let before: T | undefined;
    let found = this.#slots[slot];
    while (found && found.id !== id) {
      before = found;
      found = found.behind;
    }
    if (!found) return;
    if (before) before.behind = found.behind;
    else this.#slots[slot] = found.behind;
    found.behind = undefined;
    this.#size--;
    if (this.#size === 0 && this.#slots.length > mostKept) this.#slots = emptySlots(fewest);
  }

  #slotOf(id: number): number {
    const run = id >> (1 + runBits);
    if (run !== this.#run) {
      this.#run = run;
      this.#start = scatter(run);
    }
    return (this.#start + (id >> 1)) & (this.#slots.length - 1);
  }

  #put(item: T): void {
    const slot = this.#slotOf(item.id);
    item.behind = this.#slots[slot];
    this.#slots[slot] = item;
  }

  #grow(): void {
    const items = this.all();
    this.#slots = emptySlots(2 * this.#slots.length);
    for (const item of items) this.#put(item);
  }
}

function emptySlots(length: number): undefined[] {
  return Array.from({ length }, () => undefined);
}

/** What makes one process scatter otherwise than others. */
export type Secrets = readonly [number, number];

/** Two numbers of 32 bits, the second odd. No peer sees what else Math.random() gives. */
export function createSecrets(): Secrets {
  return [randomBits(), randomBits() | 1];
}

function randomBits(): number {
  return Math.floor(Math.random() * 2 ** 32);
}

const ours = createSecrets();

/**
 * Where something with this number goes in a hash table: 20 bits. Peers choose their numbers; those that
 * fall together in one process do not in another. The constants are of Ettinger's triple32
 * (https://github.com/skeeto/hash-prospector): a secret alone may be a bad factor.
 */
export function scatter(number: number, [first, second] = ours): number {
  let mixed = Math.imul(number ^ first, 0xed5ad4bb);
  mixed = Math.imul(mixed ^ (mixed >>> 11), second);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x31848bab);
  return mixed >>> 12;
}

/** Another number of 32 bits for each, for tables whose hash everybody knows, as V8's of numbers is. */
function disguise(number: number): number {
  return Math.imul(number, ours[1]);
}
