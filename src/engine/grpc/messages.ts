import { AbortError } from 'abort-controller-x';
import { ServerError } from 'nice-grpc-common';
import { broken, tooLarge } from '../errors.ts';
import { prefixLength, BecomesTooMuch, type MethodCodec, type MessageRoom } from './methods.ts';
import { copyWork, cost, type Flow, inLaterTurn, inTurn } from '../scheduler.ts';
import { decompress, type Encoding, letGo, withInflationSlot } from './compression.ts';
import type { Account } from '../account.ts';
import { Held } from '../held.ts';
import { defaultMaxFrameSize } from '../http2/frames.ts';
import type { Stream } from '../http2/stream.ts';
import type { AdmissionRequest } from '../admission.ts';
import { type EndReason, reasons } from './end_reason.ts';

/** A message as it came. Its bytes are never written again, but share memory with others. */
export interface RawMessage {
  bytes: Buffer;
  compressed: boolean;
}

/**
 * Cuts the body of a request into messages (PROTOCOL-HTTP2.md, Length-Prefixed-Message), when they
 * are asked for. What waits is one buffer, however it was cut on the wire.
 */
export class MessageReader {
  readonly #maxSize: number;
  #bytes: Buffer = empty;
  /** What is there and not read stands from here to `end`. */
  #at = 0;
  #end = 0;
  /** The bytes are the caller's, and `bytes` has no room behind them. */
  #isBorrowed = true;

  constructor(maxSize: number) {
    this.#maxSize = maxSize;
  }

  /** Bytes that have not been read. */
  get heldBytes(): number {
    return this.#end - this.#at;
  }

  /** Bytes of memory that those take: there is room for others beside them. */
  get roomBytes(): number {
    return this.#isBorrowed ? this.heldBytes : this.#bytes.length;
  }

  /** Takes a part of the body, which stays the caller's until keep(). */
  push(chunk: Buffer): void {
    if (this.#at < this.#end) return this.#append(chunk);
    this.#bytes = chunk;
    this.#at = 0;
    this.#end = chunk.length;
    this.#isBorrowed = true;
  }

  /**
   * Makes room for the whole of the next message, of so many bytes, once an eighth of it is there: what comes then is
   * not copied again, nor is it by the beginning of the one after it.
   */
  makeRoom(length: number): void {
    if (this.heldBytes >= length || this.heldBytes < length / 8) return;
    if (this.#isBorrowed || this.#bytes.length < this.#at + length) {
      this.#move(length + defaultMaxFrameSize);
    }
  }

  /** Makes what is not read its own. */
  keep(): void {
    if (!this.#isBorrowed) return;
    if (this.#at < this.#end) this.#append(empty);
    else this.#bytes = empty;
  }

  /**
   * Bytes of the next message with its prefix, once that one is there. Throws a ServerError where there
   * can be no message.
   */
  nextLength(): number | undefined {
    if (this.heldBytes < prefixLength) return undefined;
    const flags = this.#bytes.readUInt8(this.#at);
    if (flags > 1) throw broken(`a message with the flags ${flags}`);
    const size = this.#bytes.readUInt32BE(this.#at + 1);
    if (size > this.#maxSize) throw tooLarge(this.#maxSize);
    return prefixLength + size;
  }

  /** Gives the next message, if it is whole. Throws a ServerError where there can be none. */
  next(): RawMessage | undefined {
    const length = this.nextLength();
    if (length === undefined || length > this.heldBytes) return undefined;
    const compressed = this.#bytes.readUInt8(this.#at) === 1;
    const bytes = this.#bytes.subarray(this.#at + prefixLength, this.#at + length);
    this.#at += length;
    this.#shrink();
    return { bytes, compressed };
  }

  /** Forgets what is not read. */
  clear(): void {
    this.#bytes = empty;
    this.#at = 0;
    this.#end = 0;
    this.#isBorrowed = true;
  }

  /** Only ever behind what is there: messages that were given out lie before it. */
  #append(chunk: Buffer): void {
    if (this.#isBorrowed || this.#end + chunk.length > this.#bytes.length) {
      this.#move(this.#roomFor(chunk));
    }
    this.#end += chunk.copy(this.#bytes, this.#end);
  }

  /** Twice what is held, so that what comes in small pieces is seldom copied; one message needs no more than it has. */
  #roomFor(chunk: Buffer): number {
    const needed = this.heldBytes + chunk.length;
    const generous = Math.max(2 * this.heldBytes, leastRoom, needed);
    if (this.heldBytes < prefixLength) return generous;
    const whole = prefixLength + this.#bytes.readUInt32BE(this.#at + 1);
    return needed > whole ? generous : Math.min(generous, whole);
  }

  /** A few bytes that are left do not keep the room of many. */
  #shrink(): void {
    const held = this.heldBytes;
    if (held === 0) this.clear();
    else if (!this.#isBorrowed && this.#bytes.length > 4 * Math.max(held, leastRoom)) {
      this.#move(Math.max(2 * held, leastRoom));
    }
  }

  #move(room: number): void {
    const own = Buffer.allocUnsafeSlow(room);
    this.#end = this.#bytes.copy(own, 0, this.#at, this.#end);
    this.#bytes = own;
    this.#at = 0;
    this.#isBorrowed = false;
  }
}

const leastRoom = 256;
const empty = Buffer.alloc(0);

/** What a call's messages are, and how they were compressed. */
export interface MessageKind {
  readonly method: MethodCodec;
  readonly encoding: Encoding | undefined;
  readonly maxMessageSize: number;
  /** Set with each message. */
  requestCompressed: boolean;
  /** Whether nobody waits for them any more. */
  readonly isEnded: boolean;
  /** Why there is no room for what they would become, if there is none. */
  readonly refusal: ServerError | undefined;
  /** Bytes for which there is room. */
  readonly freeBytes: number;
  /** RESOURCE_EXHAUSTED: there is no room for what this one would become. */
  busy(): ServerError;
  readonly inUse: BytesInUse;
  readonly stream: { readonly flow: Flow; beginJob(): void; endJob(): void };
}

/** Gives a message as it is: inflated where it must be, and decoded. Throws or rejects with a ServerError. */
export function decodeMessage({ bytes, compressed }: RawMessage, kind: MessageKind): unknown {
  kind.requestCompressed = compressed;
  if (!compressed) return parseInTurn(bytes, kind);
  const { encoding } = kind;
  if (!encoding) throw broken('a compressed message without grpc-encoding');
  return inflate(Buffer.from(bytes), { encoding, kind });
}

function inflate(
  bytes: Buffer,
  { encoding, kind }: { encoding: Encoding; kind: MessageKind },
): Promise<unknown> {
  const { inUse, stream } = kind;
  const { flow } = stream;
  inUse.add(bytes.length);
  flow.spend(cost.coding);
  stream.beginJob();
  const work = async () => {
    if (kind.isEnded) throw new AbortError();
    const { maxMessageSize, refusal } = kind;
    if (refusal) throw refusal;
    const most = Math.min(maxMessageSize, bytes.length * mostInflation);
    if (most > kind.freeBytes + ownGrowth) throw kind.busy();
    // Until it is known what it comes to: others are inflated at the same time.
    inUse.take(most);
    const plain = await decompress(bytes, { encoding, maxSize: maxMessageSize });
    inUse.take(plain.length);
    return plain;
  };
  // Others are inflated meanwhile: a connection that has much to do keeps nobody waiting.
  const inflating = withInflationSlot({ owner: flow, bytes: bytes.length, work });
  return inflating
    .finally(() => stream.endJob())
    .then((plain) =>
      inTurn(flow, () => {
        if (kind.isEnded) throw new AbortError();
        inUse.isCopied = false;
        try {
          return parse(plain, kind);
        } finally {
          // Set by what has decoded it.
          if (inUse.isCopied) letGo(plain);
        }
      }),
    );
}

/** What may take longer than others are to wait has a turn that has room for it. */
function parseInTurn(bytes: Buffer, kind: MessageKind): unknown {
  const { flow } = kind.stream;
  if (bytes.length < smallMessage || !flow.isTurnFull) return parse(bytes, kind);
  kind.inUse.add(bytes.length);
  return inLaterTurn(flow, () => {
    if (kind.isEnded) throw new AbortError();
    return parse(bytes, kind);
  });
}

/** DEFLATE makes at most so many bytes of one (258 of two bits). */
const mostInflation = 1032;

/** What any message may become beyond what it was, in bytes: few fields are objects, and strings, too. */
const ownGrowth = 64 * 1024;

/**
 * A string of ASCII with one other character takes twice as much in memory as on the wire; what is more
 * than that for the largest message is of fields that are nearly empty. There must be room for it, too.
 */
function parse(bytes: Buffer, kind: MessageKind): unknown {
  kind.stream.flow.spend(cost.request + copyWork(bytes.length));
  const { inUse, maxMessageSize, method } = kind;
  const bound = 2 * maxMessageSize + ownGrowth;
  inUse.take(bytes.length);
  inUse.most = bound;
  if (bytes.length >= smallMessage) {
    inUse.most = Math.min(bound, bytes.length + Math.max(0, kind.freeBytes) + ownGrowth);
  }
  try {
    return method.decode(bytes, inUse);
  } catch (cause) {
    if (cause instanceof BecomesTooMuch && inUse.most < bound) throw kind.busy();
    if (cause instanceof ServerError) throw cause;
    throw broken('a message that cannot be decoded', { cause });
  }
}

/** Messages of fewer bytes are decoded at once, whatever room there is. */
const smallMessage = 1024;

/** Messages of fewer bytes are a part of what any call costs. */
export const uncounted = 256;

/** What a call's handler has of its requests, as its connection's account is charged for it. */
export class BytesInUse implements MessageRoom {
  /** Set before a message is decoded. */
  most = 0;
  isCopied = false;
  readonly #stream: Stream;
  #message = 0;
  #reserved = 0;

  constructor(stream: Stream) {
    this.#stream = stream;
  }

  /** The message at hand has so many, in place of the one before. */
  take(bytes: number): void {
    this.#message = bytes < uncounted ? 0 : bytes;
    this.#count();
  }

  /** The next one has come, too, and waits: the handler has the one before until it gets this one. */
  add(bytes: number): void {
    this.take(this.#message + bytes);
  }

  /** So many are kept for it, though it may have fewer now. */
  reserve(bytes: number): void {
    this.#reserved = bytes;
    this.#count();
  }

  /** What counts for the message at hand. */
  get held(): number {
    return Math.max(this.#message, this.#reserved);
  }

  /** Of what is kept for it, what it does not have. */
  get spare(): number {
    return Math.max(0, this.#reserved - this.#message);
  }

  spend(work: number): void {
    this.#stream.flow.spend(work);
  }

  /** The service keeps so many of those before. */
  retain(bytes: number): void {
    this.#stream.hold(Held.retained, bytes);
  }

  #count(): void {
    this.#stream.hold(Held.messages, this.held);
  }
}

/** Smaller messages, in bytes, are read as they come. */
const mostUnasked = 64 * 1024;

/** Whether there has to be room for a message of so many bytes before it is read. */
export function isLarge(length: number): boolean {
  return length > mostUnasked;
}

/** What a message takes: as it comes, as it is decoded, and again where it is answered with as much. */
const times = 3;

/** The call whose message it is. */
interface Admitted {
  readonly stream: Stream;
  readonly inUse: BytesInUse;
  /** RESOURCE_EXHAUSTED: there is no room for what this message would become. */
  busy(): ServerError;
  end(reason: EndReason): void;
}

/**
 * Room for the messages of one call. A large one that there is no room for waits, with its window shut, before it
 * is read; or it is refused. One that is read has all the room it needs, and is not given up while it goes on.
 */
export class MessageAdmission {
  readonly #call: Admitted;
  readonly #onGranted: () => void;
  #length = 0;
  /** What it is given. */
  #room = 0;
  #waiting: AdmissionRequest<Account> | undefined;

  constructor(call: Admitted, onGranted: () => void) {
    this.#call = call;
    this.#onGranted = onGranted;
  }

  /** Whether nothing more of the message is to be read. */
  get isWaiting(): boolean {
    return this.#waiting !== undefined;
  }

  /** A large message of so many bytes is on its way, and a part of it there. */
  receive(length: number, reader: MessageReader): void {
    if (this.#length === 0) this.#ask(length);
    if (this.#length === 0 || this.isWaiting) return;
    reader.makeRoom(length);
    this.#reserve(this.#room - reader.roomBytes);
  }

  /** The message at hand is decoded from here on. */
  decode(): void {
    if (this.#length > 0) this.#reserve(this.#room - this.#length);
  }

  /** Nobody has that message any more, or waits for it. */
  release(): void {
    const { stream } = this.#call;
    if (this.#waiting) stream.account.cancelAdmission(this.#waiting);
    this.#waiting = undefined;
    stream.wait(false);
    if (this.#length === 0) return;
    this.#length = 0;
    stream.endAdmission();
    this.#reserve(0);
  }

  #ask(length: number): void {
    const { inUse, stream } = this.#call;
    this.#length = length;
    this.#room = stream.account.mostOf(times * length);
    // It comes in place of the message before it.
    const answer = stream.account.requestAdmission(Math.max(0, this.#room - inUse.held), {
      granted: () => {
        this.#waiting = undefined;
        stream.wait(false);
        stream.admit(this.#room);
        this.#reserve(this.#room);
        this.#onGranted();
      },
      refused: () => this.#refuse(),
    });
    if (answer === 'refused') return this.#refuse();
    if (answer === 'granted') return stream.admit(this.#room);
    this.#waiting = answer;
    stream.wait(true);
  }

  #refuse(): void {
    this.release();
    this.#call.end(reasons.malformed(this.#call.busy()));
  }

  #reserve(bytes: number): void {
    this.#call.inUse.reserve(Math.max(0, bytes));
  }
}
