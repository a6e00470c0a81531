import { Metadata, type MetadataValue } from 'nice-grpc-common';

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

/** Metadata that is made when somebody asks for it. */
export class LazyMetadata implements Metadata {
  readonly #fields: readonly string[];
  #made: Metadata | undefined;

  /** Names and values in turn, as they came; none of them for metadata to fill. */
  constructor(fields: readonly string[]) {
    this.#fields = fields;
  }

  /** Adds what somebody has put in to a list of names and values. */
  appendTo(fields: string[]): void {
    if (!this.#made) return;
    for (const [key, values] of this.#made) {
      if (reserved.has(key)) continue;
      for (const value of values) fields.push(key, encode(value));
    }
  }

  /** Whether somebody has put something in. */
  get isEmpty(): boolean {
    if (!this.#made) return this.#fields.length === 0;
    return this.#made[Symbol.iterator]().next().done === true;
  }

  set<Key extends string>(key: Key, value: MetadataValue<Key> | MetadataValue<Key>[]): Metadata {
    this.#all().set(key, value);
    return this;
  }

  append<Key extends string>(key: Key, value: MetadataValue<Key>): Metadata {
    this.#all().append(key, value);
    return this;
  }

  delete(key: string): void {
    this.#all().delete(key);
  }

  get<Key extends string>(key: Key): MetadataValue<Key> | undefined {
    if (this.#made) return this.#made.get(key);
    // One value is asked for more often than all, and most often it is not there.
    const name = key.toLowerCase();
    if (!this.#fields.includes(name)) return undefined;
    return decode(this.#fields, (other) => other === name).get(key);
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
    this.#made ??= decode(this.#fields);
    return this.#made;
  }
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

/** Binary values go without padding, as the specification wants it. */
function encode(value: string | Uint8Array): string {
  if (typeof value === 'string') return value;
  const text = Buffer.from(value.buffer, value.byteOffset, value.length).toString('base64');
  return text.replace(/=+$/, '');
}
