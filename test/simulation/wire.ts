import { Socket } from 'node:net';

type Done = (error?: Error | null) => void;

interface WireEvents {
  /** What the server has written. */
  written: (bytes: Buffer) => void;
  /** The server has ended its side. */
  finished: () => void;
}

/** The server's end of a connection without a network: what it reads is handed in, what it writes is told. */
export class Wire extends Socket {
  readonly #events: WireEvents;
  readonly #coming: Buffer[] = [];
  #isWanted = false;
  #isLeft = false;
  #isRead = true;
  /** Whether its buffers have changed without an event: the server learns of it when it looks now and then. */
  isStale = false;
  #unread: { bytes: number; done: Done } | undefined;

  constructor(events: WireEvents) {
    super();
    this.#events = events;
  }

  /** Bytes that the peer has sent, and the server has not asked for. */
  get comingBytes(): number {
    return this.#coming.reduce((sum, { length }) => sum + length, 0);
  }

  /** Bytes that the server has written and `written` was not told of. */
  get untoldBytes(): number {
    return this.writableLength - (this.#unread?.bytes ?? 0);
  }

  /** Sends bytes to the server, as one chunk. */
  send(bytes: Buffer): void {
    if (this.#isLeft || this.destroyed || bytes.length === 0) return;
    this.#coming.push(bytes);
    this.#pump();
  }

  /** Says that nothing more will be sent. */
  leave(): void {
    this.#isLeft = true;
    this.#pump();
  }

  /** Whether the peer reads: if not, no write is ever done. */
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

  /** As a network that has gone, or a peer that has. */
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
