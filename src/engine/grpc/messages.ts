import { AbortError } from 'abort-controller-x';
import { ServerError, Status } from 'nice-grpc-common';
import { ExpectedError, malformed, tooLarge } from '../errors.ts';
import type { Protocol } from '../web.ts';
import { prefixLength, BecomesTooMuch, type MethodCodec, type MessageMemory } from './methods.ts';
import { copyWork, cost, type Flow, inLaterTurn, inTurn } from '../scheduler.ts';
import { freeLarge, letGo } from '../buffers.ts';
import { decompress, type Encoding, maxInflation, withInflationSlot } from './compression.ts';
import type { Account } from '../account.ts';
import { Held } from '../held.ts';
import { defaultMaxFrameSize } from '../http2/frames.ts';
import type { Stream } from '../http2/stream.ts';
import { type AdmissionRequest, isLarge, timesOfMessage } from '../admission.ts';
import { type EndReason, reasons } from './end_reason.ts';

/** A message as received. Its bytes are never overwritten, but share a buffer with others. */
export interface RawMessage {
  bytes: Buffer;
  compressed: boolean;
  /** True if nothing else uses its buffer, which can be freed once the message is decoded. */
  isSole: boolean;
}

/**
 * Splits a request body into messages (PROTOCOL-HTTP2.md, Length-Prefixed-Message) on demand. It buffers unread bytes
 * contiguously, however they were split into frames.
 */
export class MessageReader {
  readonly #maxSize: number;
  #bytes: Buffer = empty;
  /** The offset of the first unread byte; they end at `end`. */
  #at = 0;
  #end = 0;
  /** True while the bytes belong to the caller and nothing may be appended to them. */
  #isBorrowed = true;

  constructor(maxSize: number) {
    this.#maxSize = maxSize;
  }

  /** The number of unread bytes. */
  get heldBytes(): number {
    return this.#end - this.#at;
  }

  /** The capacity of the buffer that holds them, in bytes. */
  get capacity(): number {
    return this.#isBorrowed ? this.heldBytes : this.#bytes.length;
  }

  /** Adds a part of the body, which the caller owns until keep(), or not at all if it is given. */
  push(chunk: Buffer, isGiven = false): void {
    if (this.#at < this.#end) return this.#append(chunk);
    this.#bytes = chunk;
    this.#at = 0;
    this.#end = chunk.length;
    this.#isBorrowed = !isGiven;
  }

  /**
   * Allocates a buffer for the whole next message of `length` bytes once an eighth of it has arrived, so that the
   * rest is not copied again.
   */
  ensureCapacity(length: number): void {
    if (this.heldBytes >= length || this.heldBytes < length / 8) return;
    if (this.#isBorrowed || this.#bytes.length < this.#at + length) {
      this.#reallocate(length + defaultMaxFrameSize);
    }
  }

  /** Copies unread bytes that belong to the caller. */
  keep(): void {
    if (!this.#isBorrowed) return;
    if (this.#at < this.#end) this.#append(empty);
    else this.#bytes = empty;
  }

  /**
   * The length of the next message including its prefix, once the prefix has arrived. Throws a ServerError for an
   * invalid prefix.
   */
  nextLength(): number | undefined {
    if (this.heldBytes < prefixLength) return undefined;
    const flags = this.#bytes.readUInt8(this.#at);
    if (flags > 1) throw malformed(`a message with the flags ${flags}`);
    const size = this.#bytes.readUInt32BE(this.#at + 1);
    if (size > this.#maxSize) throw tooLarge(this.#maxSize);
    return prefixLength + size;
  }

  /** Returns the next message if it is complete. Throws a ServerError for an invalid prefix. */
  next(): RawMessage | undefined {
    const length = this.nextLength();
    if (length === undefined || length > this.heldBytes) return undefined;
    const compressed = this.#bytes.readUInt8(this.#at) === 1;
    const bytes = this.#bytes.subarray(this.#at + prefixLength, this.#at + length);
    const isSole = !this.#isBorrowed && this.#at === 0 && this.#end === length;
    this.#at += length;
    this.#shrink();
    return { bytes, compressed, isSole };
  }

  /** Drops the unread bytes. */
  clear(): void {
    this.#bytes = empty;
    this.#at = 0;
    this.#end = 0;
    this.#isBorrowed = true;
  }

  /** Appends only, because messages returned earlier share the buffer. */
  #append(chunk: Buffer): void {
    if (this.#isBorrowed || this.#end + chunk.length > this.#bytes.length) {
      this.#reallocate(this.#capacityFor(chunk));
    }
    this.#end += chunk.copy(this.#bytes, this.#end);
  }

  /** Twice the bytes held, so that small frames are seldom copied; at most what the next message needs. */
  #capacityFor(chunk: Buffer): number {
    const needed = this.heldBytes + chunk.length;
    const generous = Math.max(2 * this.heldBytes, minCapacity, needed);
    if (this.heldBytes < prefixLength) return generous;
    const whole = prefixLength + this.#bytes.readUInt32BE(this.#at + 1);
    return needed > whole ? generous : Math.min(generous, whole);
  }

  /** Reallocates, so that a few unread bytes do not keep a large buffer. */
  #shrink(): void {
    const held = this.heldBytes;
    if (held === 0) this.clear();
    else if (!this.#isBorrowed && this.#bytes.length > 4 * Math.max(held, minCapacity)) {
      this.#reallocate(Math.max(2 * held, minCapacity));
    }
  }

  #reallocate(capacity: number): void {
    const own = Buffer.allocUnsafeSlow(capacity);
    this.#end = this.#bytes.copy(own, 0, this.#at, this.#end);
    this.#bytes = own;
    this.#at = 0;
    this.#isBorrowed = false;
  }
}

const minCapacity = 256;
const empty = Buffer.alloc(0);

/** The type and the compression of a call's messages. */
export interface MessageKind {
  readonly method: MethodCodec;
  readonly protocol: Protocol;
  readonly encoding: Encoding | undefined;
  readonly maxMessageSize: number;
  /** Updated with each message. */
  requestCompressed: boolean;
  /** True once nothing reads the messages any more. */
  readonly isEnded: boolean;
  /** The error to refuse a message with that takes too much memory when decoded, if the server is overloaded. */
  readonly refusal: ServerError | undefined;
  /** The bytes that a decoded message may take. */
  readonly freeBytes: number;
  /** RESOURCE_EXHAUSTED: the decoded message does not fit. */
  busy(): ServerError;
  /** Counts the cost of a failure before the call ends. */
  willFail(): void;
  readonly inUse: BytesInUse;
  readonly stream: {
    readonly flow: Flow;
    readonly account: Pick<Account, 'peer' | 'capAdmission'>;
    beginJob(): void;
    endJob(): void;
  };
}

/** Decompresses and decodes a message. Throws or rejects with a ServerError. */
export function decodeMessage(raw: RawMessage, kind: MessageKind): unknown {
  const { bytes, compressed } = raw;
  kind.requestCompressed = compressed;
  if (!compressed) return parseInTurn(raw, kind);
  const { encoding } = kind;
  if (!encoding) throw malformed('a compressed message without grpc-encoding');
  return inflate(Buffer.from(bytes), { encoding, kind });
}

function inflate(
  bytes: Buffer,
  { encoding, kind }: { encoding: Encoding; kind: MessageKind },
): Promise<unknown> {
  const { inUse, stream } = kind;
  const { account, flow } = stream;
  inUse.add(bytes.length);
  flow.spend(cost.coding);
  stream.beginJob();
  const work = async () => {
    if (kind.isEnded) throw new AbortError();
    const { maxMessageSize, refusal } = kind;
    if (refusal) throw refusal;
    const most = account.capAdmission(
      inflatedTimes * Math.min(maxMessageSize, bytes.length * maxInflation),
    );
    if (most > kind.freeBytes + ownGrowth) throw kind.busy();
    // Reserves the maximum until the size is known, as other messages are decompressed concurrently.
    inUse.reserve(most);
    const plain = await decompress(bytes, { encoding, maxSize: maxMessageSize });
    const { length } = plain;
    inUse.take(length);
    inUse.reserve(isLarge(length) ? account.capAdmission(inflatedTimes * length) : 0);
    return plain;
  };
  // Decompression runs in a thread, so other connections are not delayed.
  const inflating = withInflationSlot({ owner: account, bytes: bytes.length, work });
  return inflating
    .finally(() => stream.endJob())
    .catch((error: unknown) =>
      // All jobs that wait may fail at once.
      inTurn(flow, () => {
        if (!kind.isEnded) kind.willFail();
        throw error;
      }),
    )
    .then((plain) => inTurn(flow, () => parseOnce(plain, kind, letGo)));
}

/** Decodes in a turn that has quota for it, as a large message takes long. */
function parseInTurn({ bytes, isSole }: RawMessage, kind: MessageKind): unknown {
  const { flow } = kind.stream;
  if (bytes.length < smallMessage) return parse(bytes, kind);
  const task = () => (isSole ? parseOnce(bytes, kind, freeLarge) : parse(bytes, kind));
  if (!flow.isTurnFull) return task();
  kind.inUse.add(bytes.length);
  return inLaterTurn(flow, () => {
    if (kind.isEnded) throw new AbortError();
    return task();
  });
}

/** Decodes a message, and frees its bytes, which nothing else uses, if the decoder has copied what it needs. */
function parseOnce(bytes: Buffer, kind: MessageKind, release: (bytes: Buffer) => void): unknown {
  const { inUse } = kind;
  inUse.isCopied = kind.isEnded;
  try {
    if (kind.isEnded) throw new AbortError();
    return parse(bytes, kind);
  } finally {
    // Set by the decoder.
    if (inUse.isCopied) release(bytes);
  }
}

/**
 * The memory that an inflated message takes, as a multiple of its size: decoded, and encoded again in a response.
 */
const inflatedTimes = 2;

/** The bytes that any message may grow by when it is decoded, as its few fields become objects and strings. */
const ownGrowth = 64 * 1024;

/**
 * A string with one non-Latin-1 character takes twice its encoded size in memory; a message that takes more than that
 * for the largest one consists of nearly empty fields. That must fit, too.
 */
function parse(bytes: Buffer, kind: MessageKind): unknown {
  kind.stream.flow.spend(cost.request + copyWork(bytes.length));
  const { inUse, maxMessageSize, method } = kind;
  const bound = 2 * maxMessageSize + ownGrowth;
  inUse.take(bytes.length);
  inUse.max = bound;
  if (bytes.length >= smallMessage) {
    inUse.max = Math.min(bound, bytes.length + Math.max(0, kind.freeBytes) + ownGrowth);
  }
  try {
    return method.decode(bytes, inUse);
  } catch (cause) {
    if (cause instanceof BecomesTooMuch && inUse.max < bound) throw kind.busy();
    const isKnown = cause instanceof ServerError;
    const error = isKnown ? cause : malformed('a message that cannot be decoded', { cause });
    throw kind.protocol === 'grpc' ? error : forWeb(error);
  }
}

/**
 * Replaces INTERNAL, which gRPC has for a message that cannot be decoded. In Connect, whose status is that of HTTP, it
 * would be an error of the server.
 */
function forWeb(error: ServerError): ServerError {
  const { code, details, cause } = error;
  if (code !== Status.INTERNAL) return error;
  return new ExpectedError(details, { code: Status.INVALID_ARGUMENT, reason: details, cause });
}

/** Smaller messages, in bytes, are decoded at once, even if memory is short. */
const smallMessage = 1024;

/** Messages of fewer bytes are included in the fixed cost of a call. */
export const uncounted = 256;

/** The memory of a call's decoded requests, as charged to its account. */
export class BytesInUse implements MessageMemory {
  /** Set before a message is decoded. */
  max = 0;
  isCopied = false;
  readonly #stream: Stream;
  #message = 0;
  #reserved = 0;

  constructor(stream: Stream) {
    this.#stream = stream;
  }

  /** Charges the current message instead of the previous one. */
  take(bytes: number): void {
    this.#message = bytes < uncounted ? 0 : bytes;
    this.#count();
  }

  /** Charges the next message as well: the handler keeps the previous one until it reads this one. */
  add(bytes: number): void {
    this.take(this.#message + bytes);
  }

  /** Reserves bytes for it, though it may use fewer now. */
  reserve(bytes: number): void {
    this.#reserved = bytes;
    this.#count();
  }

  /** Charges nothing: the request is not used any more. */
  release(): void {
    if (this.held === 0) return;
    this.#message = 0;
    this.reserve(0);
  }

  /** The charge of the current message. */
  get held(): number {
    return Math.max(this.#message, this.#reserved);
  }

  /** The part of the reservation that is not used. */
  get spare(): number {
    return Math.max(0, this.#reserved - this.#message);
  }

  spend(work: number): void {
    this.#stream.flow.spend(work);
  }

  /** Charges messages that the service retains. */
  retain(bytes: number): void {
    this.#stream.hold(Held.retained, bytes);
  }

  #count(): void {
    this.#stream.hold(Held.messages, this.held);
  }
}

/** The call that the message belongs to. */
interface Admitted {
  readonly stream: Stream;
  readonly inUse: BytesInUse;
  /** RESOURCE_EXHAUSTED: the decoded message does not fit. */
  busy(): ServerError;
  end(reason: EndReason): void;
}

/**
 * The admission of one call's large messages. If there is too little memory, the message waits, with its stream
 * window closed, before it is read, or it is refused. An admitted message has all the memory that it needs, and is
 * not evicted while it makes progress.
 */
export class MessageAdmission {
  readonly #call: Admitted;
  readonly #onGranted: () => void;
  #length = 0;
  /** The bytes that are reserved for the message. */
  #reservation = 0;
  #waiting: AdmissionRequest<Account> | undefined;

  constructor(call: Admitted, onGranted: () => void) {
    this.#call = call;
    this.#onGranted = onGranted;
  }

  /** True while the rest of the message must not be read. */
  get isWaiting(): boolean {
    return this.#waiting !== undefined;
  }

  /** True from receipt until release(). */
  get isActive(): boolean {
    return this.#length > 0;
  }

  /** Starts admission: a part of a large message of `length` bytes has arrived. */
  receive(length: number, reader: MessageReader): void {
    if (this.#length === 0) this.#ask(length);
    if (this.#length === 0 || this.isWaiting) return;
    reader.ensureCapacity(length);
    this.#reserve(this.#reservation - reader.capacity);
  }

  /** The current message is decoded from now on. */
  decode(): void {
    if (this.#length > 0) this.#reserve(this.#reservation - this.#length);
  }

  /** The message is no longer used or awaited. */
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
    this.#reservation = stream.account.capAdmission(timesOfMessage * length);
    if (stream.isInner) return stream.admit(this.#reservation);
    // It replaces the previous message.
    const answer = stream.account.requestAdmission(Math.max(0, this.#reservation - inUse.held), {
      granted: () => {
        this.#waiting = undefined;
        stream.wait(false);
        stream.admit(this.#reservation);
        this.#reserve(this.#reservation);
        this.#onGranted();
      },
      refused: () => this.#refuse(),
    });
    if (answer === 'refused') return this.#refuse();
    if (answer === 'granted') return stream.admit(this.#reservation);
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
