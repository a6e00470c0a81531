import type { Account, Limited } from '../account.ts';
import { Held } from '../held.ts';
import { cost, type Flow } from '../scheduler.ts';
import type { ConnectionFaults } from './connection_faults.ts';
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
  faults: ConnectionFaults;
}

/** A call that holds fewer bytes of messages is not evicted for memory. */
const minWorth = 1024;

/** The streams of a connection that is over, and the error that they end with. */
interface Ending {
  error: ConnectionError | undefined;
  streams: Stream[];
}

/** The open streams of a connection, and everything that ends one. */
export class OpenStreams implements StreamOwner {
  readonly table = new StreamTable();
  readonly flow: Flow;
  readonly account: Account;
  readonly wake: () => void;
  readonly drop: () => void;
  readonly retire: () => void;
  readonly #receiveWindow: ReceiveWindow;
  readonly #streamWindowSize: number;
  readonly #sender: Sender;
  readonly #report: (incident: Incident) => void;
  /** The number of complete responses. */
  completed = 0;
  /** Set once the connection is over. */
  #ending: Ending | undefined;
  #onEnded: (() => void) | undefined;

  constructor({ limits, account, flow, sender, wake, report, faults }: OpenStreamsDeps) {
    this.#receiveWindow = new ReceiveWindow(limits.connectionWindowSize);
    this.#streamWindowSize = limits.streamWindowSize;
    this.account = account;
    this.flow = flow;
    this.#sender = sender;
    this.wake = wake;
    this.drop = faults.drop;
    this.retire = faults.retire;
    this.#report = report;
  }

  /** True if the server is so overloaded that even refusing each of this peer's calls would cost too much. */
  get isFlooded(): boolean {
    return this.account.mustStop || !this.account.admits('streams', 1);
  }

  /** Opens a stream, and charges it together with its header list. */
  open(stream: Stream, { streamCost, headers }: { streamCost: number; headers: number }): void {
    this.table.add(stream);
    this.account.count('streams', 1);
    this.flow.spend(cost.stream);
    stream.hold(Held.calls, streamCost);
    stream.hold(Held.headers, headers);
    this.wake();
  }

  /** Refuses a stream; its client may retry the request (RFC 9113 section 8.7). */
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

  /** Counts DATA of any stream, and opens the connection window at once. Returns false if the peer exceeds it. */
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

  /** Ends a stream with RST_STREAM, if it is open, and notifies its handler. */
  fail(error: StreamError): void {
    const { streamId, code } = error;
    const stream = this.table.get(streamId);
    this.#report({ reason: `rst_stream_${lowerCase(error.codeName)}`, message: error.message });
    if (stream) {
      this.reset(stream, code);
      stream.events?.failed(error);
    } else this.#sendReset(streamId, code);
  }

  /** The peer has reset the stream. */
  onReset(stream: Stream, code: number): void {
    this.#remove(stream);
    stream.events?.reset(code);
  }

  /** The response is complete before the request: the rest of that is discarded (section 8.1). */
  onResponseEnded(stream: Stream): void {
    this.completed++;
    if (stream.remoteEnded) this.#remove(stream);
    else this.reset(stream, ErrorCode.NO_ERROR);
    stream.events?.sent();
  }

  /**
   * Resets the stream that uses the resource and has gone longest without progress, except for one with an admitted
   * message that has progressed since turn `since`. Returns the amount freed, or 0.
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

  /** Does the same for streams that wait in the middle of a message and have made no progress since turn `since`. */
  evictStalled(since: number): number {
    if (this.#ending) return this.#tellNext(this.#ending) ?? 0;
    const stalled = this.table.all().filter(({ progressedAt, messageBytes, isWaiting }) => {
      return progressedAt <= since && messageBytes >= minWorth && !isWaiting;
    });
    const stream = stalestOf(stalled);
    if (!stream) return 0;
    const freed = stream.heldBytes;
    this.#evict(stream);
    return freed;
  }

  #evict(stream: Stream): void {
    this.flow.spend(cost.reset);
    this.fail(
      new StreamError(stream.id, 'ENHANCE_YOUR_CALM', 'Cannot buffer so much for one call'),
    );
  }

  /** Ends all calls; each sends its own status. */
  expire(): void {
    for (const stream of this.table.all()) stream.events?.expire();
  }

  /**
   * Ends all streams, as the connection is over; `error` is set if the server ended it. Handlers are notified a few
   * per turn, as ending a thousand calls takes time, and remain charged until then.
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

  /** Calls back once no stream is left of a connection that is over. */
  whenEnded(done: () => void): void {
    if (this.table.size === 0) done();
    else this.#onEnded = done;
  }

  readonly #tell = (ending: Ending): void => {
    while (this.#tellNext(ending) !== undefined) {
      if (this.flow.isSpent) return this.flow.wait(() => this.#tell(ending));
    }
  };

  /** Notifies the next stream; returns the bytes that it was charged, or undefined after the last. */
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

/** Prefers streams without a partly sent message, as their clients would take the reset for a truncated message. */
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

/** The number of reset streams that are remembered, as the peer may have sent frames before RST_STREAM arrived. */
const remembered = 1000;

/** The memory of one of them, in bytes. */
const rememberedCost = 32;

/** The open streams of a connection, and what is known of closed ones. */
export class StreamTable {
  readonly #open = new StreamIndex<Stream>();
  /** Disguised, as a peer could choose identifiers that collide in a Set. */
  readonly #reset = new Set<number>();
  /** The highest identifier that the peer has used (RFC 9113 section 5.1.1). */
  lastId = 0;

  get size(): number {
    return this.#open.size;
  }

  /** Bytes kept for closed streams. */
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

  /** Further frames for the stream were sent before RST_STREAM arrived (section 5.4.2). */
  rememberReset(id: number): void {
    this.#reset.add(disguise(id));
    if (this.#reset.size <= remembered) return;
    for (const oldest of this.#reset) {
      this.#reset.delete(oldest);
      break;
    }
  }

  /** True if the server has reset the stream, as far as it is remembered. */
  wasReset(id: number): boolean {
    return this.#reset.has(disguise(id));
  }

  /** Forgets reset streams: later frames for them are answered with STREAM_CLOSED. */
  forgetResets(): void {
    this.#reset.clear();
  }

  /**
   * Throws the error of RFC 9113 section 5.1 for a frame on a stream that is not open; frames on a stream that the
   * server has reset are ignored.
   */
  refuseClosed(id: number, what: string): void {
    if (this.wasReset(id)) return;
    this.refuseIdle(id);
    throw new StreamError(
      id,
      'STREAM_CLOSED',
      `Cannot accept ${what} for stream ${id}: it is closed`,
    );
  }

  /** True if the stream is idle. Even identifiers are the server's, which opens no streams. */
  isIdle(id: number): boolean {
    return id > this.lastId || id % 2 === 0;
  }

  /** Throws if the stream is idle. */
  refuseIdle(id: number): void {
    if (!this.isIdle(id)) return;
    throw new ConnectionError(
      'PROTOCOL_ERROR',
      `Cannot accept a frame for stream ${id}: it is idle`,
    );
  }

  /** Throws for stream 0, and for even identifiers (section 5.1.1). */
  refuseEven(id: number): void {
    if (id % 2 === 1) return;
    throw new ConnectionError('PROTOCOL_ERROR', `Cannot open stream ${id}: it is even`);
  }

  /** True if the identifier opens a new stream. Throws for that of a closed one. */
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

/** An item of a StreamIndex, which stores its links. */
export interface Indexed<T> {
  readonly id: number;
  /** The next item in the same slot, written by the index. */
  behind: T | undefined;
}

const fewest = 8;
/** An empty index with more slots is replaced. */
const maxKept = 64;
/** Consecutive identifiers in a run of 2^10, as those of one connection are, get a slot each. */
const runBits = 10;

/**
 * Streams by identifier: a hash table with chaining. A peer may skip identifiers, so runs of them are scattered by a
 * secret hash. It is not a Map for the reason given in unordered_set.ts.
 */
export class StreamIndex<T extends Indexed<T>> {
  #slots: (T | undefined)[] = emptySlots(fewest);
  #size = 0;
  /** The last run that was looked up, and where it starts. */
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

  /** A snapshot of the items. */
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
    if (this.#size === 0 && this.#slots.length > maxKept) this.#slots = emptySlots(fewest);
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

/** The secrets of a process's hash function. */
export type Secrets = readonly [number, number];

/** Two random numbers of 32 bits, the second odd. No peer sees other output of Math.random(). */
export function createSecrets(): Secrets {
  return [randomBits(), randomBits() | 1];
}

function randomBits(): number {
  return Math.floor(Math.random() * 2 ** 32);
}

const ours = createSecrets();

/**
 * A hash of 20 bits. Peers choose the numbers, so numbers that collide in one process must not collide in another.
 * The constants are from Ettinger's triple32 (https://github.com/skeeto/hash-prospector), because a secret factor
 * alone may be weak.
 */
export function scatter(number: number, [first, second] = ours): number {
  let mixed = Math.imul(number ^ first, 0xed5ad4bb);
  mixed = Math.imul(mixed ^ (mixed >>> 11), second);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x31848bab);
  return mixed >>> 12;
}

/** A bijection of 32-bit numbers, for tables with a public hash function, such as V8's. */
function disguise(number: number): number {
  return Math.imul(number, ours[1]);
}
