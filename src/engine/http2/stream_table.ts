import { ConnectionError, StreamError } from './errors.ts';
import { disguise } from './scatter.ts';
import type { Stream } from './stream.ts';
import { StreamIndex } from './stream_index.ts';

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
