import { Socket } from 'node:net';

type Done = (error?: Error | null) => void;

interface WireEvents {
  /** Called with what the server writes. */
  written: (bytes: Buffer) => void;
  /** Called when the server has ended its side. */
  finished: () => void;
}

/** The server's end of a connection without a network: the test provides its input, and gets its output. */
export class Wire extends Socket {
  readonly #events: WireEvents;
  readonly #coming: Buffer[] = [];
  #isWanted = false;
  #isLeft = false;
  #isRead = true;
  /** True if its buffers have changed without an event, which the server notices at its next tick. */
  isStale = false;
  #unread: { bytes: number; done: Done } | undefined;

  constructor(events: WireEvents) {
    super();
    this.#events = events;
  }

  /** Bytes that the peer has sent and the server has not read. */
  get comingBytes(): number {
    return this.#coming.reduce((sum, { length }) => sum + length, 0);
  }

  /** Bytes that the server has written and `written` has not got. */
  get untoldBytes(): number {
    return this.writableLength - (this.#unread?.bytes ?? 0);
  }

  /** Sends bytes to the server, as one chunk. */
  send(bytes: Buffer): void {
    if (this.#isLeft || this.destroyed || bytes.length === 0) return;
    this.#coming.push(bytes);
    this.#pump();
  }

  /** Ends the peer's side. */
  leave(): void {
    this.#isLeft = true;
    this.#pump();
  }

  /** Sets whether the peer reads; if not, writes never finish. */
  setReading(reads: boolean): void {
    this.#isRead = reads;
    if (!reads) return;
    const unread = this.#unread;
    this.#unread = undefined;
    if (!unread) return;
    this.isStale = true;
    unread.done();
  }

  get isRead(): boolean {
    return this.#isRead;
  }

  /** Destroys the socket, as a broken network does. */
  breakOff(): void {
    this.destroy(new Error('read ECONNRESET'));
  }

  override _read(): void {
    this.#isWanted = true;
    this.#pump();
  }

  override _write(bytes: Buffer, _encoding: string, done: Done): void {
    this.#take(bytes, done);
  }

  override _writev(parts: { chunk: Buffer }[], done: Done): void {
    this.#take(Buffer.concat(parts.map(({ chunk }) => chunk)), done);
  }

  override _final(done: Done): void {
    this.#events.finished();
    done();
  }

  #take(bytes: Buffer, done: Done): void {
    this.#events.written(bytes);
    if (this.#isRead) done();
    else this.#unread = { bytes: bytes.length, done };
  }

  #pump(): void {
    while (this.#isWanted && !this.destroyed) {
      const bytes = this.#coming.shift();
      if (!bytes) break;
      this.isStale ||= this.isPaused();
      this.#isWanted = this.push(bytes);
    }
    if (this.#isLeft && this.#coming.length === 0 && !this.readableEnded) this.push(null);
  }
}
