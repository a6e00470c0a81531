import { inspect } from 'node:util';
import { ServerError, Status } from 'nice-grpc-common';
import type { Stream } from '../http2/stream.ts';
import { acceptedEncoding, type CallHead } from './call_head.ts';
import { compress, type Encoding, takeTurn } from './compression.ts';
import { LazyMetadata } from './metadata.ts';
import { type MethodCodec, prefixLength } from './methods.ts';
import { type CallStatus, responseHeaders, trailers, trailersOnly } from './status.ts';

interface ResponseParts {
  stream: Stream;
  head: CallHead;
  method: MethodCodec;
  /** Responses of more bytes are compressed; undefined for those alone whose request was. */
  compressAbove: number | undefined;
}

const noFields: readonly string[] = [];
const noBytes = Buffer.alloc(0);

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

  /** Sends the response headers, once. */
  sendHeader(): void {
    if (this.#sentHeader) return;
    this.#sentHeader = true;
    this.#encoding = this.#chooseEncoding();
    this.#stream.respond(responseHeaders(this.header, this.#encoding));
  }

  /** Throws as send() would. The bytes are of no use: middleware may still change the message. */
  check(message: unknown): void {
    this.#encoded(message);
  }

  /**
   * Sends a message. False: wait for room() before the next. Throws a ServerError for one that cannot
   * be encoded, and then nothing has been sent.
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

  /** Sends the status; nothing follows. */
  end(status: CallStatus): void {
    if (!this.#sentHeader && status.code !== Status.OK && this.header.isEmpty) {
      const fields = { trailer: this.trailer, more: this.#head.faultFields };
      this.#stream.respond(trailersOnly(status, fields), { endStream: true });
      return;
    }
    this.sendHeader();
    this.#stream.end(trailers(status, this.trailer), this.#last);
  }

  #encoded(message: unknown): Uint8Array {
    try {
      return this.#method.encode(message);
    } catch (cause) {
      process.emitWarning(`Cannot encode a response: ${inspect(cause)}`);
      throw Object.assign(new ServerError(Status.INTERNAL, 'Internal error'), { cause });
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
    const packed = await takeTurn(async () => {
      return this.#stream.closed ? noBytes : compress(bytes, encoding);
    });
    this.#stream.keepResponse(0);
    const framed = Buffer.allocUnsafe(prefixLength + packed.length);
    packed.copy(framed, prefixLength);
    writePrefix(framed, 1);
    return this.#write(framed);
  }

  /** The only message of a response leaves together with its status. */
  #write(framed: Uint8Array): boolean {
    if (this.#method.responseStream) return this.#stream.write(framed);
    this.#last = framed;
    return true;
  }
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
