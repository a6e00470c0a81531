import { Metadata, type MetadataValue } from 'nice-grpc-common';
import { fieldOverhead, listSize } from '../http2/hpack/header_list.ts';
import { stripped } from '../http2/request_headers.ts';

/** Names that are ours or HTTP's: nobody finds them in metadata or sets them with it. */
const reserved: ReadonlySet<string> = new Set([
  'te',
  'content-type',
  'content-length',
  'accept-encoding',
  'grpc-accept-encoding',
  'grpc-encoding',
  'grpc-message',
  'grpc-message-type',
  'grpc-status',
  'grpc-timeout',
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
]);

/**
 * What a response's header list may have, in bytes as RFC 9113 section 6.5.2 counts them: C-core and
 * grpc-java take no more where nobody tells them to.
 */
export const mostListSize = 8192;

/** Metadata as it is sent. */
export interface EncodedMetadata {
  /** Names and values in turn. */
  readonly fields: readonly string[];
  /** Of that list. */
  readonly size: number;
  /** Whether that is all: what would make the list larger than `mostListSize` is left out. */
  readonly isWhole: boolean;
}

const nothing: EncodedMetadata = { fields: [], size: 0, isWhole: true };

/** Metadata that is made when somebody asks for it. */
export class LazyMetadata implements Metadata {
  readonly #fields: readonly string[];
  /** Names and values in turn that were set and need no metadata to be sent: a call has a few at most. */
  #simple: string[] | undefined;
  #made: Metadata | undefined;
  #encoded: EncodedMetadata | undefined;

  /** Names and values in turn, as they came; none of them for metadata to fill. */
  constructor(fields: readonly string[]) {
    this.#fields = fields;
  }

  /** What somebody has put in, as it is sent. Throws a TypeError for what HTTP/2 cannot carry. */
  encode(): EncodedMetadata {
    if (this.#made) this.#encoded ??= encode(this.#made);
    else if (this.#simple) this.#encoded ??= encodeSimple(this.#simple);
    return this.#encoded ?? nothing;
  }

  /** Whether somebody has put something in. */
  get isEmpty(): boolean {
    if (!this.#made) return (this.#simple ?? this.#fields).length === 0;
    return this.#made[Symbol.iterator]().next().done === true;
  }

  set<Key extends string>(key: Key, value: MetadataValue<Key> | MetadataValue<Key>[]): Metadata {
    // A name that is there has a value to replace, or is the value of another.
    const isNew = !this.#made && this.#fields.length === 0 && !this.#simple?.includes(key);
    if (isNew && isSimple(key, value)) {
      this.#encoded = undefined;
      this.#simple ??= [];
      this.#simple.push(key, value);
    } else {
      this.#all().set(key, value);
    }
    return this;
  }

  append<Key extends string>(key: Key, value: MetadataValue<Key>): Metadata {
    this.#all().append(key, value);
    return this;
  }

  delete(key: string): void {
    if (this.#made || !this.isEmpty) this.#all().delete(key);
  }

  get<Key extends string>(key: Key): MetadataValue<Key> | undefined {
    if (this.#made) return this.#made.get(key);
    // One value is asked for more often than all, and most often it is not there.
    const fields = this.#simple ?? this.#fields;
    const name = key.toLowerCase();
    if (!fields.includes(name)) return undefined;
    return decode(fields, (other) => other === name).get(key);
  }

  getAll<Key extends string>(key: Key): MetadataValue<Key>[] {
    return this.#all().getAll(key);
  }

  has(key: string): boolean {
    return this.#all().has(key);
  }

  [Symbol.iterator](): IterableIterator<[string, (string | Uint8Array)[]]> {
    return this.#all()[Symbol.iterator]();
  }

  #all(): Metadata {
    // Whoever asks for all of it may change it.
    this.#encoded = undefined;
    this.#made ??= decode(this.#simple ?? this.#fields);
    return this.#made;
  }
}

/** Names that were found to be simple. Code has few; whatever else comes is looked at each time. */
const simpleNames = new Set<string>();
const mostNames = 100;
const longestName = 64;

/** Whether that is sent as it is, whatever else is set. */
function isSimple(key: string, value: unknown): value is string {
  if (typeof value !== 'string' || !(simpleNames.has(key) || isSimpleName(key))) return false;
  for (let at = 0; at < value.length; at++) {
    const octet = value.charCodeAt(at);
    // Visible ASCII.
    if (octet < 0x21 || octet > 0x7e) return false;
  }
  return value.length > 0;
}

function isSimpleName(key: string): boolean {
  if (!/^[0-9a-z_.-]+$/.test(key) || key.endsWith('-bin') || reserved.has(key)) return false;
  if (simpleNames.size < mostNames && key.length <= longestName) simpleNames.add(key);
  return true;
}

/** PROTOCOL-HTTP2.md, Custom-Metadata; what is no metadata is passed over. */
function decode(fields: readonly string[], wanted = (_name: string) => true): Metadata {
  const metadata = Metadata();
  for (let at = 0; at < fields.length; at += 2) {
    const key = fields[at] ?? '';
    const value = fields[at + 1] ?? '';
    if (!wanted(key) || reserved.has(key) || !/^[0-9a-z_.-]+$/.test(key)) continue;
    if (key.endsWith('-bin')) {
      // Values of one name may have been joined on the way.
      for (const part of value.split(',')) metadata.append(key, Buffer.from(part, 'base64'));
    } else if (/^[ -~]*$/.test(value)) {
      metadata.append(key, value);
    }
  }
  return metadata;
}

function encodeSimple(fields: readonly string[]): EncodedMetadata {
  const size = listSize(fields);
  return size <= mostListSize ? { fields, size, isWhole: true } : encode(decode(fields));
}

function encode(metadata: Metadata): EncodedMetadata {
  const fields: string[] = [];
  let size = 0;
  let isWhole = true;
  for (const [key, values] of metadata) {
    if (reserved.has(key)) continue;
    const before = size;
    for (const value of values) size += key.length + encodedLength(key, value) + fieldOverhead;
    if (size <= mostListSize) {
      for (const value of values) fields.push(key, encodeValue(key, value));
    } else {
      // It is not even made: it may be of any length.
      size = before;
      isWhole = false;
    }
  }
  return { fields, size, isWhole };
}

/** At most so many octets. */
function encodedLength(key: string, value: string | Uint8Array): number {
  if (typeof value === 'string') return stripped(value).length;
  if (value instanceof Uint8Array) return Math.ceil((value.length * 4) / 3);
  throw new TypeError(`Cannot send metadata "${key}": a value is a string or bytes`);
}

/**
 * Nice-grpc has checked what was set; but those who are given the values can change them. Binary values
 * go without padding, as the specification wants it.
 */
function encodeValue(key: string, value: string | Uint8Array): string {
  if (typeof value === 'string') {
    const text = stripped(value);
    if (/^[ -~]*$/.test(text)) return text;
    throw new TypeError(`Cannot send metadata "${key}": it has characters that no field can have`);
  }
  const text = Buffer.from(value.buffer, value.byteOffset, value.length).toString('base64');
  return text.replace(/=+$/, '');
}
