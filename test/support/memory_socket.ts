import { Socket } from 'node:net';

/** What a socket is told to write. */
interface Written {
  chunk: Buffer | string;
  encoding: BufferEncoding;
}

/** The server's end of a connection in memory. The test is its peer, and decides when bytes arrive. */
export class MemorySocket extends Socket {
  readonly #arrived: Buffer[] = [];
  readonly #sent: Buffer[] = [];
  #bytesRead = 0;
  #bytesWritten = 0;
  #isRead = false;
  #hasFinished = false;
  #isHalfClosed = false;
  #isPeerReading = true;
  /** Ends the write that waits for the peer. */
  #onTaken: (() => void) | undefined;

  constructor(remoteAddress: string) {
    super();
    Object.defineProperties(this, {
      remoteAddress: { value: remoteAddress },
      remotePort: { value: 1 },
      bytesRead: { get: () => this.#bytesRead },
      bytesWritten: { get: () => this.#bytesWritten + this.writableLength },
    });
  }

  // What the peer does.

  /** Sends a TCP segment. */
  arrive(bytes: Buffer): void {
    if (this.destroyed || bytes.length === 0) return;
    // As from a real socket, the server owns what it gets.
    this.#arrived.push(Buffer.from(bytes));
    this.#goOn();
  }

  /** Ends the peer's side. */
  halfClose(): void {
    this.#isHalfClosed = true;
    this.#goOn();
  }

  /** Disconnects with a TCP RST. */
  reset(): void {
    this.destroy(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }));
  }

  /** Starts or stops reading; a server whose peer does not read can write no more. */
  set isPeerReading(isReading: boolean) {
    this.#isPeerReading = isReading;
    if (!isReading) return;
    const taken = this.#onTaken;
    this.#onTaken = undefined;
    taken?.();
  }

  /** Returns what the server has sent since the last time. */
  takeSent(): Buffer {
    return Buffer.concat(this.#sent.splice(0));
  }

  /** True once the server has ended its side, or destroyed the socket. */
  get isOver(): boolean {
    return this.#hasFinished || this.destroyed;
  }

  // What the server does.

  override _read(): void {
    this.#isRead = true;
    this.#goOn();
  }

  override _write(chunk: Buffer | string, encoding: BufferEncoding, done: () => void): void {
    this.#send([{ chunk, encoding }], done);
  }

  override _writev(chunks: readonly Written[], done: () => void): void {
    this.#send(chunks, done);
  }

  override _final(done: () => void): void {
    this.#hasFinished = true;
    done();
  }

  #send(chunks: readonly Written[], done: () => void): void {
    for (const { chunk, encoding } of chunks) {
      const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : Buffer.from(chunk);
      this.#sent.push(bytes);
      this.#bytesWritten += bytes.length;
    }
    if (this.#isPeerReading) done();
    else this.#onTaken = done;
  }

  #goOn(): void {
    while (this.#isRead && !this.destroyed) {
      const next = this.#arrived.shift();
      if (!next) break;
      this.#bytesRead += next.length;
      this.#isRead = this.push(next);
    }
    if (!this.#isHalfClosed || !this.#isRead || this.destroyed) return;
    this.#isHalfClosed = false;
    this.push(null);
  }
}
