import { Code, ConnectError } from '@connectrpc/connect';
import {
  isLarge,
  letGo,
  maxInflation,
  valueOf,
  type WebRequest,
  withInflationSlot,
} from '../engine/index.ts';
import { compressions } from './compression.ts';
import { fieldsBut, withType } from './fields.ts';
import { type JsonCost, jsonCost } from './json_cost.ts';

/** The header fields and the body that a handler reads, without compression or other wrapping. */
export interface Plain {
  fields: readonly string[];
  body: AsyncIterable<Uint8Array>;
}

/** The same, and the format of its messages. */
interface Unwrapped extends Plain {
  isJson: boolean;
}

interface UnwrapDeps {
  /** The maximum message in bytes, after decompression. */
  maxMessageSize: number;
  /** Takes each message in protobuf's binary encoding, and leaves an empty one in its place. */
  onBinary: (message: Uint8Array) => void;
  /** Called before each message in JSON. */
  onJson?: ((cost: JsonCost) => void) | undefined;
}

/** The fields that name the compression, by kind of content type. */
const encodingNames = {
  whole: 'content-encoding',
  connect: 'connect-content-encoding',
  grpc: 'grpc-encoding',
} as const;

/**
 * Decompresses the messages of a request. Before a message is decoded, its size in memory is estimated and charged; the
 * request is refused if there is not enough memory.
 */
export function unwrap(request: WebRequest, { fields, body }: Plain, deps: UnwrapDeps): Unwrapped {
  const type = valueOf(fields, 'content-type')?.toLowerCase() ?? '';
  const kind = kindOf(type);
  const name = encodingNames[kind];
  const encoding = valueOf(fields, name);
  const compression = compressions.find((known) => known.name === encoding);
  const isJson = /[/+]json\b/.test(type);
  const reader = new Reader(request, { ...deps, compression, isJson });
  return {
    isJson,
    // The library refuses unknown compressions. The length may change.
    fields: fieldsBut(
      fields,
      (field) => (compression && field === name) || field === 'content-length',
    ),
    body: kind === 'whole' ? reader.whole(body) : reader.each(body),
  };
}

function kindOf(type: string): keyof typeof encodingNames {
  if (type.startsWith('application/grpc')) return 'grpc';
  return type.startsWith('application/connect+') ? 'connect' : 'whole';
}

/** Converts a call with GET to the same call with POST. */
export function fromQuery({ path, fields }: Pick<WebRequest, 'path' | 'fields'>): Plain {
  const query = new URLSearchParams(path.slice(path.indexOf('?') + 1));
  const message = query.get('message') ?? '';
  const bytes = Buffer.from(message, query.get('base64') === '1' ? 'base64' : 'utf8');
  const compression = query.get('compression');
  const typed = withType(fields, `application/${query.get('encoding') ?? ''}`);
  return {
    fields: compression === null ? typed : [...typed, 'content-encoding', compression],
    body: one(bytes),
  };
}

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

interface ReaderDeps extends UnwrapDeps {
  compression: (typeof compressions)[number] | undefined;
  isJson: boolean;
}

const empty = new Uint8Array(0);
const prefixLength = 5;
const compressedFlag = 1;

class Reader {
  readonly #request: WebRequest;
  readonly #deps: ReaderDeps;
  /** The size that the current message is admitted with. */
  #admitted = 0;

  constructor(request: WebRequest, deps: ReaderDeps) {
    this.#request = request;
    this.#deps = deps;
  }

  /** Reads a body that is one message. */
  async *whole(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    const { compression, maxMessageSize } = this.#deps;
    const known = Number(valueOf(this.#request.fields, 'content-length') ?? '') || Number.NaN;
    this.#checkSize(known);
    // Not yet read, but received.
    if (isLarge(known)) await this.#admit(known, firstRead);
    const all = new Collected(known);
    try {
      for await (const chunk of body) {
        const length = all.length + chunk.length;
        this.#checkSize(length);
        if (isLarge(length) && length > this.#admitted) await this.#admit(maxMessageSize, length);
        this.#keep(length);
        all.push(chunk);
      }
    } catch (error) {
      all.drop();
      throw error;
    }
    const { bytes } = all;
    yield await this.#passed(compression ? await this.#decompress(bytes) : bytes);
  }

  /** Reads a body of messages with prefixes (https://connectrpc.com/docs/protocol/#streaming-rpcs). */
  async *each(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    let chunks: Buffer[] = [];
    let length = 0;
    let needed = prefixLength;
    try {
      for await (const chunk of body) {
        chunks.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length));
        length += chunk.length;
        while (length >= needed) {
          const all = joined(chunks);
          const size = all.readUInt32BE(1);
          this.#checkSize(size);
          needed = prefixLength + size;
          chunks = [all];
          if (isLarge(size)) await this.#admit(size, length);
          if (length < needed) break;
          yield await this.#message(all.readUInt8(0), all.subarray(prefixLength, needed));
          chunks = [all.subarray(needed)];
          length -= needed;
          needed = prefixLength;
          this.#release();
        }
        this.#keep(length);
      }
    } catch (error) {
      chunks.forEach(letGo);
      throw error;
    }
    // The library refuses an incomplete message.
    if (length > 0) yield joined(chunks);
  }

  async #message(flags: number, bytes: Buffer): Promise<Buffer> {
    const isCompressed = (flags & compressedFlag) !== 0 && this.#deps.compression !== undefined;
    const isMessage = (flags & ~compressedFlag) === 0;
    const whole = isCompressed ? await this.#decompress(bytes) : bytes;
    // The library refuses others.
    const plain = isMessage ? await this.#passed(whole) : whole;
    const framed = Buffer.allocUnsafe(prefixLength + plain.length);
    framed.writeUInt8(isCompressed ? flags ^ compressedFlag : flags);
    framed.writeUInt32BE(plain.length, 1);
    framed.set(plain, prefixLength);
    return framed;
  }

  async #decompress(bytes: Buffer): Promise<Uint8Array> {
    const { compression, maxMessageSize } = this.#deps;
    if (!compression) return bytes;
    const max = Math.min(maxMessageSize, maxInflated);
    // The ratio of Brotli is far above that of DEFLATE.
    const ratio = compression.name === 'gzip' ? maxInflation : Number.POSITIVE_INFINITY;
    const mayBecome = Math.min(max, bytes.length * ratio);
    if (isLarge(mayBecome)) await this.#admit(mayBecome, bytes.length);
    return withInflationSlot({
      owner: this.#request.owner,
      bytes: bytes.length,
      work: () => compression.decompress(bytes, max),
    });
  }

  /** Charges a message, and returns what the library is to decode. */
  #passed(bytes: Uint8Array): Uint8Array | Promise<Uint8Array> {
    if (!this.#deps.isJson) {
      this.#keep(bytes.length);
      this.#deps.onBinary(bytes);
      return empty;
    }
    const cost = jsonCost(bytes);
    this.#keep(bytes.length + cost.bytes);
    this.#deps.onJson?.(cost);
    return this.#request.inTurn(cost.work, () => bytes);
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

  #release(): void {
    this.#admitted = 0;
    this.#request.release();
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

function tooMuch(): ConnectError {
  return new ConnectError(
    'Cannot accept this message: too many bytes are buffered',
    Code.ResourceExhausted,
  );
}

/** Joins chunks, and frees them. */
function joined(chunks: readonly Buffer[]): Buffer {
  const [only] = chunks;
  if (chunks.length === 1 && only) return only;
  const all = Buffer.concat(chunks);
  chunks.forEach(letGo);
  return all;
}

/** The parts of a body, in one buffer. Parts are freed once they are copied. */
class Collected {
  readonly #known: number;
  #buffer: Uint8Array = empty;
  length = 0;

  /** `known` is the length of the body, NaN if it is not known. */
  constructor(known: number) {
    this.#known = known;
  }

  get bytes(): Buffer {
    return Buffer.from(this.#buffer.buffer, this.#buffer.byteOffset, this.length);
  }

  push(chunk: Uint8Array): void {
    const length = this.length + chunk.length;
    if (this.length === 0) this.#buffer = chunk;
    else {
      if (length > this.#buffer.length) this.#grow(length);
      this.#buffer.set(chunk, this.length);
      letGo(chunk);
    }
    this.length = length;
  }

  /** Frees what was collected. */
  drop(): void {
    letGo(this.#buffer);
  }

  /** The whole length is allocated once an eighth has arrived. */
  #grow(length: number): void {
    const capacity = this.#known <= 8 * length ? this.#known : 2 * length;
    const grown = Buffer.allocUnsafeSlow(capacity);
    grown.set(this.#buffer.subarray(0, this.length));
    letGo(this.#buffer);
    this.#buffer = grown;
  }
}

/** The bytes of a body that arrive before it is read: twice what Node reads from a socket at once. */
const firstRead = 128 * 1024;

/** The memory of JSON when it is decoded, as a multiple of that of protobuf. */
const timesOfJson = 1.5;

/** Messages of up to so many bytes are always accepted. */
const alwaysAccepted = 16 * 1024;

/** The maximum of node:zlib's `maxOutputLength`. */
const maxInflated = 2 ** 31 - 1;
