import { type DescMessage, type Registry, toBinary } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import {
  freeLarge,
  isLarge,
  letGo,
  maxInflation,
  frame,
  prefixLength,
  valueOf,
  type WebCall,
  type WebRequest,
  withInflationSlot,
  withOwnMemory,
} from '../engine/index.ts';
import { Collected } from './collected.ts';
import type { Compression } from './compression.ts';
import { parseJson } from './json.ts';
import { jsonCost } from './json_cost.ts';

interface RequestBodyDeps {
  request: WebRequest;
  /** The type of its messages. */
  input: DescMessage;
  registry: Registry;
  /** The maximum message in bytes, after decompression. */
  maxMessageSize: number;
  compression: Compression | undefined;
  isJson: boolean;
}

/** Set in the flags of a message that is compressed. */
export const compressedFlag = 1;

/**
 * Reads the messages of a request, and converts them to protobuf's binary encoding. Before a large message is read, its
 * size in memory is estimated and charged; the request is refused if there is not enough memory.
 */
export class RequestBody {
  readonly #request: WebRequest;
  readonly #deps: RequestBodyDeps;
  /** The size that the current message is admitted with. */
  #admitted = 0;

  constructor(deps: RequestBodyDeps) {
    this.#request = deps.request;
    this.#deps = deps;
  }

  /** Reads a body that is one message. */
  async whole(body: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
    const { maxMessageSize } = this.#deps;
    const known = Number(valueOf(this.#request.fields, 'content-length') ?? '') || Number.NaN;
    this.#checkSize(known);
    // Not yet read, but received.
    if (isLarge(known)) await this.#admit(known, firstRead);
    const all = new Collected(known);
    let only: Uint8Array = empty;
    try {
      for await (const chunk of body) {
        const length = only.length + all.length + chunk.length;
        this.#checkSize(length);
        if (isLarge(length) && length > this.#admitted) await this.#admit(maxMessageSize, length);
        this.#keep(length);
        if (length === chunk.length) only = chunk;
        else {
          if (all.length === 0) all.push(only);
          letGo(only);
          only = empty;
          all.push(chunk);
          letGo(chunk);
        }
      }
    } catch (error) {
      letGo(only);
      all.drop();
      throw error;
    }
    const bytes = all.length === 0 ? only : all.take();
    return this.#decoded(this.#deps.compression ? await this.#decompress(bytes) : bytes);
  }

  /**
   * Passes on the messages of a body that have prefixes (https://connectrpc.com/docs/protocol/#streaming-rpcs), until
   * the call is over. Those with `endFlag`, which have no use in requests, are dropped.
   */
  async each(body: AsyncIterable<Uint8Array>, call: WebCall, endFlag: number): Promise<void> {
    const rest = new Collected(prefixLength);
    try {
      for await (const chunk of body) {
        if (call.isRequestOver) return;
        await this.#split(chunk, { rest, call, endFlag });
        // It has not read the rest.
        if (call.isRequestOver) return;
        this.#keep(rest.length);
      }
      if (rest.length > 0) {
        throw new ConnectError('protocol error: incomplete envelope', Code.InvalidArgument);
      }
    } finally {
      rest.drop();
    }
    call.end();
  }

  /** Passes on the messages that a part of a body completes; `rest` is of the last one that is incomplete. */
  async #split(
    chunk: Uint8Array,
    { rest, call, endFlag }: { rest: Collected; call: WebCall; endFlag: number },
  ): Promise<void> {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
    let at = 0;
    let isShared = false;
    while (at < bytes.length && !call.isRequestOver) {
      const end = rest.length > 0 || this.#deps.isJson ? at : endOfPlain(bytes, at);
      if (end > at) {
        isShared = true;
        await call.writeFramed(withOwnMemory(bytes.subarray(at, end)));
        at = end;
        continue;
      }
      const part = bytes.subarray(at, at + rest.known - rest.length);
      rest.push(part);
      at += part.length;
      if (rest.length < rest.known) break;
      if (rest.known === prefixLength) await this.#begin(rest);
      if (rest.length < rest.known) continue;
      rest.known = prefixLength;
      await this.#pass(rest.take(), call, endFlag);
    }
    if (!isShared) letGo(chunk);
  }

  /** The prefix of a message has arrived. */
  async #begin(rest: Collected): Promise<void> {
    const size = rest.bytes.readUInt32BE(1);
    this.#checkSize(size);
    if (isLarge(size)) await this.#admit(size, rest.length);
    rest.known = prefixLength + size;
  }

  /** Passes on a message; once the call has asked for the next one, it returns. */
  async #pass(framed: Buffer, call: WebCall, endFlag: number): Promise<void> {
    const flags = framed[0] ?? 0;
    if ((flags & endFlag) !== 0) return;
    const isCompressed = flags === compressedFlag;
    if (flags !== 0 && !isCompressed) {
      throw new ConnectError(`protocol error: invalid flags ${flags}`, Code.InvalidArgument);
    }
    const isPlain = !isCompressed && !this.#deps.isJson;
    const passed = call.writeFramed(isPlain ? framed : await this.#plain(framed, isCompressed));
    // It is charged to the call.
    this.#admitted = 0;
    this.#request.release();
    this.#request.keep(0);
    await passed;
  }

  async #plain(framed: Buffer, isCompressed: boolean): Promise<Buffer> {
    if (isCompressed && !this.#deps.compression) {
      const message = 'received compressed envelope, but do not know how to decompress';
      throw new ConnectError(message, Code.Internal);
    }
    const bytes = framed.subarray(prefixLength);
    const message = await this.#decoded(isCompressed ? await this.#decompress(bytes) : bytes);
    const plain = frame(0, message);
    freeLarge(message);
    return plain;
  }

  async #decompress(bytes: Uint8Array): Promise<Uint8Array> {
    const { compression, maxMessageSize } = this.#deps;
    if (!compression) return bytes;
    const request = this.#request;
    const max = Math.min(maxMessageSize, maxInflated);
    const ratio = compression.isBounded ? maxInflation : Number.POSITIVE_INFINITY;
    const mayBecome = Math.min(max, bytes.length * ratio);
    if (isLarge(mayBecome)) await this.#admit(mayBecome, bytes.length);
    const plain = await withInflationSlot({
      owner: request.owner,
      bytes: bytes.length,
      work: async () => {
        request.signal.throwIfAborted();
        return compression.unpack(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), max);
      },
    });
    freeLarge(bytes);
    return request.inTurn(codingWork, () => plain);
  }

  /** Charges a message, and returns it in binary encoding. */
  #decoded(bytes: Uint8Array): Uint8Array | Promise<Uint8Array> {
    const { input, isJson, registry } = this.#deps;
    if (!isJson) {
      this.#keep(bytes.length);
      return bytes;
    }
    const { keys, ...cost } = jsonCost(bytes);
    this.#keep(bytes.length + cost.bytes);
    return this.#request.inTurn(cost.work + messageWork, () => {
      const message = parseJson(input, { text: bytes, keys }, registry);
      freeLarge(bytes);
      return toBinary(input, message);
    });
  }

  /** Waits until a message of so many bytes, of which `held` are here, may be read and decoded. */
  async #admit(bytes: number, held: number): Promise<void> {
    if (bytes <= this.#admitted) return;
    this.#request.keep(held);
    const wanted = this.#deps.isJson ? bytes * timesOfJson : bytes;
    const isAdmitted = await this.#request.admit(wanted);
    this.#request.signal.throwIfAborted();
    if (!isAdmitted) throw tooMuch();
    this.#admitted = bytes;
  }

  #checkSize(bytes: number): void {
    const { maxMessageSize } = this.#deps;
    if (!(bytes > maxMessageSize)) return;
    const message = `Cannot accept a message of more than ${maxMessageSize} bytes`;
    throw new ConnectError(message, Code.ResourceExhausted);
  }

  #keep(bytes: number): void {
    const request = this.#request;
    if (bytes > alwaysAccepted && !request.admits(bytes)) throw tooMuch();
    request.keep(bytes);
  }
}

/** The end of a run of complete messages, which are small and not compressed, from `at` on; `at` if there is none. */
function endOfPlain(bytes: Buffer, at: number): number {
  let end = at;
  while (end + prefixLength <= bytes.length && bytes[end] === 0) {
    const size = bytes.readUInt32BE(end + 1);
    if (isLarge(size) || end + prefixLength + size > bytes.length) break;
    end += prefixLength + size;
  }
  return end;
}

function tooMuch(): ConnectError {
  return new ConnectError(
    'Cannot accept this message: too many bytes are buffered',
    Code.ResourceExhausted,
  );
}

const empty = new Uint8Array(0);

/** The bytes of a body that arrive before it is read: twice what Node reads from a socket at once. */
const firstRead = 128 * 1024;

/** The memory of JSON when it is decoded, as a multiple of that of protobuf. */
const timesOfJson = 1.5;

/** The work of decompressing a message, and of decoding a small one from JSON, in units of a flow. */
const codingWork = 150;
const messageWork = 40;

/** Messages of up to so many bytes are always accepted. */
const alwaysAccepted = 16 * 1024;

/** The maximum of node:zlib's `maxOutputLength`. */
const maxInflated = 2 ** 31 - 1;
