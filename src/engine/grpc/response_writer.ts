import { ServerError, Status } from 'nice-grpc-common';
import { copyWork, cost } from '../scheduler.ts';
import type { Stream } from '../http2/stream.ts';
import { show } from '../errors.ts';
import { acceptedEncoding, type CallHead } from './call_head.ts';
import { compress, type Encoding, takeTurn } from './compression.ts';
import { LazyMetadata } from './metadata.ts';
import { type MethodCodec, prefixLength, withPrefix } from './methods.ts';
import { type CallStatus, checkHeader, responseHeaders, trailers, trailersOnly } from './status.ts';

interface ResponseParts {
  stream: Stream;
  head: CallHead;
  method: MethodCodec;
  /** Responses of more bytes are compressed; undefined for those alone whose request was. */
  compressAbove: number | undefined;
}

const noFields: readonly string[] = [];
const noBytes = Buffer.alloc(0);
const none = new LazyMetadata(noFields);
/** The methods that were warned of: callers may have their metadata sent back, as often as they like. */
const warned = new WeakSet<MethodCodec>();

/** Messages of no more bytes are not worth compressing. */
const defaultAbove = 1024;

/** Sends a call's headers, messages and status. */
export class ResponseWriter {
  readonly header = new LazyMetadata(noFields);
  readonly trailer = new LazyMetadata(noFields);
  /** What the service wants; see Compression. */
  compress: boolean | undefined;
  readonly #stream: Stream;
  readonly #head: CallHead;
  readonly #method: MethodCodec;
  readonly #compressAbove: number | undefined;
  /** That of the response headers. */
  #encoding: Encoding | undefined;
  #sentHeader = false;
  #last: Uint8Array | undefined;
  #room: PromiseWithResolvers<void> | undefined;

  constructor({ stream, head, method, compressAbove }: ResponseParts) {
    this.#stream = stream;
    this.#head = head;
    this.#method = method;
    this.#compressAbove = compressAbove;
  }

  /** Sends the response headers, once. Throws a ServerError for metadata that cannot be sent. */
  sendHeader(): void {
    if (this.#sentHeader) return;
    this.#encoding = this.#chooseEncoding();
    const block = this.#headerBlock();
    this.#sentHeader = true;
    this.#stream.respond(block);
  }

  /** Throws a ServerError for metadata that cannot be sent. */
  checkMetadata(): void {
    if ((this.#sentHeader || this.header.isEmpty) && this.trailer.isEmpty) return;
    try {
      if (!this.#sentHeader) checkHeader(this.header, this.#stream);
      this.trailer.encode();
    } catch (error) {
      throw this.#unsendable(error);
    }
  }

  /**
   * Sends a message. False: wait for room() before the next. Throws a ServerError for one that cannot
   * be encoded or compressed, and then nothing of it has been sent.
   */
  send(message: unknown): boolean | Promise<boolean> {
    const framed = this.#encoded(message);
    this.sendHeader();
    const length = framed.length - prefixLength;
    if (this.#encoding !== undefined && (this.compress ?? length > this.#ownRule())) {
      return this.#sendCompressed(framed.subarray(prefixLength), this.#encoding);
    }
    writePrefix(framed, 0);
    return this.#write(framed);
  }

  /** Resolves when there is room for the next message, or nobody waits for it any more. */
  room(): Promise<void> {
    this.#room ??= Promise.withResolvers();
    return this.#room.promise;
  }

  drained(): void {
    this.#room?.resolve();
    this.#room = undefined;
  }

  /** Sends the status, whatever the metadata, after the messages that wait for the peer's windows. */
  end(status: CallStatus): void {
    this.#finish(status, false);
  }

  /** Sends the status at once, without the messages that the peer has no room for. */
  cut(status: CallStatus): void {
    this.#finish(status, true);
  }

  #finish(status: CallStatus, isCut: boolean): void {
    if (status.code !== Status.OK) this.#stream.flow.spend(cost.failure);
    let ended = status;
    let trailer = this.trailer;
    try {
      if (!trailer.encode().isWhole)
        this.#warn('trailers that are left out, as they are too large');
    } catch (error) {
      trailer = none;
      ended = this.#instead(ended, error);
    }
    if (!this.#sentHeader && (ended.code === Status.OK || !this.header.isEmpty)) {
      try {
        this.sendHeader();
      } catch (error) {
        ended = this.#instead(ended, error);
      }
    }
    if (this.#sentHeader) {
      const block = trailers(ended, trailer, this.#stream);
      if (isCut) this.#stream.abandon(block);
      else this.#stream.end(block, ended === status ? this.#last : undefined);
    } else {
      const fields = { trailer, more: this.#head.faultFields, peer: this.#stream };
      this.#stream.respond(trailersOnly(ended, fields), { endStream: true });
    }
  }

  #headerBlock(): Buffer {
    try {
      return responseHeaders(this.header, this.#stream, this.#encoding);
    } catch (error) {
      throw this.#unsendable(error);
    }
  }

  /** What a call ends with that has metadata that cannot be sent: one that has failed keeps its status. */
  #instead(status: CallStatus, error: unknown): CallStatus {
    const unsendable = this.#unsendable(error);
    return status.code === Status.OK ? unsendable : status;
  }

  #unsendable(error: unknown): ServerError {
    if (error instanceof ServerError) return error;
    this.#warn(`metadata that cannot be sent: ${show(error)}`);
    return internalError(error);
  }

  #warn(of: string): void {
    if (warned.has(this.#method)) return;
    warned.add(this.#method);
    process.emitWarning(`${this.#method.path}: ${of}`);
  }

  #encoded(message: unknown): Uint8Array {
    try {
      return this.#method.encode(message);
    } catch (cause) {
      throw unencodable(cause);
    }
  }

  /** As the request is compressed; where only the response is to be, as the caller says it takes it. */
  #chooseEncoding(): Encoding | undefined {
    // There is but one message, and it is not to be.
    if (this.compress === false && !this.#method.responseStream) return undefined;
    const { responseEncoding, fields } = this.#head;
    const asRequest = this.compress === undefined && this.#compressAbove === undefined;
    return responseEncoding ?? (asRequest ? undefined : acceptedEncoding(fields));
  }

  /** Responses of more bytes are compressed where the service has no say in it. */
  #ownRule(): number {
    if (this.#compressAbove !== undefined) return this.#compressAbove;
    return this.#head.responseEncoding === undefined ? Number.POSITIVE_INFINITY : defaultAbove;
  }

  async #sendCompressed(bytes: Uint8Array, encoding: Encoding): Promise<boolean> {
    this.#stream.keepResponse(bytes.length);
    this.#stream.flow.spend(cost.coding + copyWork(bytes.length));
    let packed: Buffer;
    try {
      packed = await takeTurn(this.#stream.flow, async () => {
        return this.#stream.closed ? noBytes : compress(bytes, encoding);
      });
    } catch (cause) {
      throw unencodable(cause);
    } finally {
      this.#stream.keepResponse(0);
    }
    const framed = withPrefix(packed);
    writePrefix(framed, 1);
    return this.#write(framed);
  }

  /** The only message of a response leaves together with its status. */
  #write(framed: Uint8Array): boolean {
    const { flow } = this.#stream;
    flow.spend(cost.response + copyWork(framed.length));
    if (!this.#method.responseStream) {
      this.#last = framed;
      return true;
    }
    const goOn = this.#stream.write(framed);
    if (!goOn || !flow.isSpent) return goOn;
    // Others have their part before the next one.
    flow.wait(() => this.drained());
    return false;
  }
}

function unencodable(cause: unknown): ServerError {
  process.emitWarning(`Cannot encode a response: ${show(cause)}`);
  return internalError(cause);
}

/** The cause is for the log alone. */
function internalError(cause: unknown): ServerError {
  return Object.assign(new ServerError(Status.INTERNAL, 'Internal error'), { cause });
}

/** PROTOCOL-HTTP2.md, Length-Prefixed-Message. */
function writePrefix(framed: Uint8Array, compressed: 0 | 1): void {
  const length = framed.length - prefixLength;
  framed[0] = compressed;
  framed[1] = length >>> 24;
  framed[2] = length >>> 16;
  framed[3] = length >>> 8;
  framed[4] = length;
}
