import { Metadata, type MetadataValue } from 'nice-grpc-common';
import { withOwnMemory } from '../buffers.ts';
import { fieldOverhead, listSize } from '../http2/hpack/header_list.ts';
import { stripped } from '../http2/request_headers.ts';

/** Names of HTTP and of gRPC itself, which metadata neither shows nor sets. */
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
 * The limit of a response's header list in bytes, counted as in RFC 9113 section 6.5.2: the default of C-core and
 * grpc-java.
 */
export const maxListSize = 8192;

/** Encoded metadata. */
export interface EncodedMetadata {
  /** Names and values, alternating. */
  readonly fields: readonly string[];
  /** The size of the list. */
  readonly size: number;
  /** False if entries beyond `maxListSize` were dropped. */
  readonly isWhole: boolean;
}

const nothing: EncodedMetadata = { fields: [], size: 0, isWhole: true };

/** Metadata that is parsed when it is first used. */
export class LazyMetadata implements Metadata {
  readonly #fields: readonly string[];
  /** Names and values in turn that were set and need no metadata to be sent: a call has a few at most. */
  #simple: string[] | undefined;
  #optional: string | undefined;
  #made: Metadata | undefined;
  #encoded: EncodedMetadata | undefined;

  /** Names and values as received, alternating; undefined for metadata to be sent. */
  constructor(fields: readonly string[]) {
    this.#fields = fields;
  }

  /** Encodes the entries. Throws a TypeError for what HTTP/2 cannot carry. */
  encode(): EncodedMetadata {
    if (this.#made) this.#encoded ??= encode(this.#made);
    else if (this.#simple) this.#encoded ??= encodeSimple(this.#simple);
    return this.#encoded ?? nothing;
  }

  /** True if there are no entries. */
  get isEmpty(): boolean {
    if (!this.#made) return (this.#simple ?? this.#fields).length === 0;
    return this.#made[Symbol.iterator]().next().done === true;
  }

  set<Key extends string>(key: Key, value: MetadataValue<Key> | MetadataValue<Key>[]): Metadata {
    // includes() also finds a value that equals the name: rare, and handled like a name that exists.
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

  /** Sets a value that is dropped if the client does not take it with the others. */
  setOptional(key: string, value: string): void {
    this.set(key, value);
    this.#optional = key;
  }

  /** Drops the optional value; returns false if there is none. */
  dropOptional(): boolean {
    if (this.#optional === undefined || !this.has(this.#optional)) return false;
    this.delete(this.#optional);
    this.#optional = undefined;
    return true;
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
    // The common case is one value, usually of a name that is absent.
    const fields = this.#simple ?? this.#fields;
    const name = key.toLowerCase();
    if (!fields.includes(name)) return undefined;
    return decode(fields, (other) => other === name).get(key);
  }

  /** True if an entry that was received has one of these names. */
  mentionsAny(names: ReadonlySet<string>): boolean {
    const fields = this.#fields;
    for (let at = 0; at < fields.length; at += 2) if (names.has(fields[at] ?? '')) return true;
    return false;
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
    // The caller may modify the returned object.
    this.#encoded = undefined;
    this.#made ??= decode(this.#simple ?? this.#fields);
    return this.#made;
  }
}

/** Names that isSimpleName() has accepted. Applications use few names; any others are validated every time. */
const simpleNames = new Set<string>();
const maxNames = 100;
const maxNameLength = 64;

/** Whether an entry is sent as it is: a name without `-bin` that is not reserved, and visible ASCII. */
function isSimple(key: string, value: unknown): value is string {
  if (typeof value !== 'string' || !(simpleNames.has(key) || isSimpleName(key))) return false;
  for (let at = 0; at < value.length; at++) {
    const octet = value.charCodeAt(at);
    if (octet < 0x21 || octet > 0x7e) return false;
  }
  return value.length > 0;
}

function isSimpleName(key: string): boolean {
  if (!/^[0-9a-z_.-]+$/.test(key) || key.endsWith('-bin') || reserved.has(key)) return false;
  if (simpleNames.size < maxNames && key.length <= maxNameLength) simpleNames.add(key);
  return true;
}

/** Sets a header that is dropped if the client does not take it with the others; on grpc-js, any header is kept. */
export function setOptional(header: Metadata, key: string, value: string): void {
  if (header instanceof LazyMetadata) header.setOptional(key, value);
  else header.set(key, value);
}

/** True if the metadata of a request has one of these names, in lower case. */
export function mentionsAny(metadata: Metadata, names: ReadonlySet<string>): boolean {
  if (metadata instanceof LazyMetadata) return metadata.mentionsAny(names);
  for (const name of names) if (metadata.has(name)) return true;
  return false;
}

/** PROTOCOL-HTTP2.md, Custom-Metadata; invalid entries are skipped. */
function decode(fields: readonly string[], wanted = (_name: string) => true): Metadata {
  const metadata = Metadata();
  for (let at = 0; at < fields.length; at += 2) {
    const key = fields[at] ?? '';
    const value = fields[at + 1] ?? '';
    if (!wanted(key) || reserved.has(key) || !/^[0-9a-z_.-]+$/.test(key)) continue;
    if (key.endsWith('-bin')) {
      // Proxies may join values of one name with commas. Calls may keep them for long.
      for (const part of value.split(','))
        metadata.append(key, withOwnMemory(Buffer.from(part, 'base64')));
    } else if (/^[ -~]*$/.test(value)) {
      metadata.append(key, value);
    }
  }
  return metadata;
}

function encodeSimple(fields: readonly string[]): EncodedMetadata {
  const size = listSize(fields);
  return size <= maxListSize ? { fields, size, isWhole: true } : encode(decode(fields));
}

function encode(metadata: Metadata): EncodedMetadata {
  const fields: string[] = [];
  let size = 0;
  let isWhole = true;
  for (const [key, values] of metadata) {
    if (reserved.has(key)) continue;
    const before = size;
    for (const value of values) size += key.length + encodedLength(key, value) + fieldOverhead;
    if (size <= maxListSize) {
      for (const value of values) fields.push(key, encodeValue(key, value));
    } else {
      // Not encoded at all, as it may be of any length.
      size = before;
      isWhole = false;
    }
  }
  return { fields, size, isWhole };
}

/** An upper bound of the encoded length, in octets. */
function encodedLength(key: string, value: string | Uint8Array): number {
  if (typeof value === 'string') return stripped(value).length;
  if (value instanceof Uint8Array) return Math.ceil((value.length * 4) / 3);
  throw new TypeError(`Cannot send metadata "${key}": a value is a string or bytes`);
}

/**
 * nice-grpc checks values when they are set, but arrays may be modified afterwards. Binary values are sent without
 * padding, as the specification recommends.
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
