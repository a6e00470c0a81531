import { Code, ConnectError } from '@connectrpc/connect';
import type { WebRequest } from '../engine/index.ts';
import { compressions } from './compression.ts';
import { fieldsBut, valueOf, withType } from './fields.ts';
import { jsonCost } from './json_cost.ts';

/** What of a request its handler reads, out of what the peer may have wrapped it in. */
export interface Plain {
  fields: readonly string[];
  body: AsyncIterable<Uint8Array>;
}

interface Limits {
  /** The largest message, in bytes, after decompression. */
  maxMessageSize: number;
}

/** Where the name of a compression stands, by the kind of the content type. */
const encodingNames = {
  whole: 'content-encoding',
  connect: 'connect-content-encoding',
  grpc: 'grpc-encoding',
} as const;

/**
 * The request with its messages as they are without compression, each of which has been looked at before anything is
 * made of it: what it becomes counts, and has to find room.
 */
export function unwrap(request: WebRequest, { fields, body }: Plain, limits: Limits): Plain {
  const type = valueOf(fields, 'content-type')?.toLowerCase() ?? '';
  const kind = kindOf(type);
  const name = encodingNames[kind];
  const encoding = valueOf(fields, name);
  const compression = compressions.find((known) => known.name === encoding);
  const reader = new Reader(request, { ...limits, compression, isJson: /[/+]json\b/.test(type) });
  return {
    // What is unknown is for the library to refuse, and what is whole has been counted.
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

/** A call by GET as the same one by POST. */
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

interface ReaderDeps extends Limits {
  compression: (typeof compressions)[number] | undefined;
  isJson: boolean;
}

const prefixLength = 5;
const compressedFlag = 1;

class Reader {
  readonly #request: WebRequest;
  readonly #deps: ReaderDeps;

  constructor(request: WebRequest, deps: ReaderDeps) {
    this.#request = request;
    this.#deps = deps;
  }

  /** A body that is one message. */
  async *whole(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    const { compression } = this.#deps;
    const chunks: Uint8Array[] = [];
    let length = 0;
    for await (const chunk of body) {
      length += chunk.length;
      this.#checkSize(length);
      this.#keep(length);
      chunks.push(chunk);
    }
    const bytes = Buffer.concat(chunks);
    yield this.#checked(compression ? await this.#decompress(bytes) : bytes);
  }

  /** A body that is messages with prefixes (https://connectrpc.com/docs/protocol/#streaming-rpcs). */
  async *each(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    let chunks: Buffer[] = [];
    let length = 0;
    let needed = prefixLength;
    for await (const chunk of body) {
      chunks.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length));
      length += chunk.length;
      while (length >= needed) {
        const all = chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks);
        const size = all.readUInt32BE(1);
        this.#checkSize(size);
        needed = prefixLength + size;
        chunks = [all];
        if (length < needed) break;
        yield await this.#message(all.readUInt8(0), all.subarray(prefixLength, needed));
        chunks = [all.subarray(needed)];
        length -= needed;
        needed = prefixLength;
      }
      this.#keep(length);
    }
    // What is cut short is for the library to refuse.
    if (length > 0) yield Buffer.concat(chunks);
  }

  async #message(flags: number, bytes: Buffer): Promise<Buffer> {
    const isPacked = (flags & compressedFlag) !== 0 && this.#deps.compression !== undefined;
    const plain = this.#checked(isPacked ? await this.#decompress(bytes) : bytes);
    const framed = Buffer.allocUnsafe(prefixLength + plain.length);
    framed.writeUInt8(isPacked ? flags ^ compressedFlag : flags);
    framed.writeUInt32BE(plain.length, 1);
    framed.set(plain, prefixLength);
    return framed;
  }

  async #decompress(bytes: Buffer): Promise<Uint8Array> {
    const { compression, maxMessageSize } = this.#deps;
    if (!compression) return bytes;
    return compression.decompress(bytes, Math.min(maxMessageSize, mostInflated));
  }

  #checked(bytes: Uint8Array): Uint8Array {
    const { isJson } = this.#deps;
    this.#keep(bytes.length + (isJson ? jsonCost(bytes) : 0));
    return bytes;
  }

  #checkSize(bytes: number): void {
    const { maxMessageSize } = this.#deps;
    if (bytes <= maxMessageSize) return;
    const message = `Cannot take a message of more than ${maxMessageSize} bytes`;
    throw new ConnectError(message, Code.ResourceExhausted);
  }

  #keep(bytes: number): void {
    const request = this.#request;
    if (bytes > leastAsked && !request.admits(bytes)) {
      throw new ConnectError(
        'Cannot take this message: too much is buffered',
        Code.ResourceExhausted,
      );
    }
    request.keep(bytes);
  }
}

/** What is smaller finds room. */
const leastAsked = 16 * 1024;

/** The most that node:zlib can be told. */
const mostInflated = 2 ** 31 - 1;
