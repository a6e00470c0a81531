/** The overhead of a field in bytes (RFC 7541 section 4.1). */
export const fieldOverhead = 32;

/** A decoded header list. It is immutable, as it may be shared. */
export interface HeaderList {
  /**
   * Alternating names and values, one character per octet. If the list is too large, only the method, the path and
   * the content type, if present and short.
   */
  readonly fields: readonly string[];
  /** RFC 9113 section 6.5.2: the octets of each field, plus 32. */
  readonly size: number;
  /** True if the list exceeds `maxHeaderListSize`. */
  readonly tooLarge: boolean;
  /** True if the list is cached for equal blocks, so that results derived from it can be cached with it. */
  readonly isKept: boolean;
}

/** The size of alternating names and values, counted as in RFC 9113 section 6.5.2. */
export function listSize(fields: readonly string[]): number {
  let size = (fields.length / 2) * fieldOverhead;
  for (const text of fields) size += text.length;
  return size;
}

/** Builds a list up to a maximum size. */
export class HeaderListBuilder implements HeaderList {
  fields: string[] = [];
  tooLarge = false;
  isKept = false;
  size = 0;
  readonly #maxSize: number;

  constructor(maxSize: number) {
    this.#maxSize = maxSize;
  }

  /** An index of one octet may stand for kilobytes, so hardly anything is kept above the limit. */
  add(name: string, value: string): void {
    this.size += name.length + value.length + fieldOverhead;
    if (this.size <= this.#maxSize) {
      this.fields.push(name, value);
      return;
    }
    if (!this.tooLarge) {
      this.tooLarge = true;
      const before = this.fields;
      this.fields = [];
      for (let at = 0; at < before.length; at += 2) this.#tell(before[at], before[at + 1]);
    }
    this.#tell(name, value);
  }

  /** Keeps the first field of each name that identifies the request. */
  #tell(name = '', value = ''): void {
    if (!telling.has(name) || value.length > longestTelling || this.fields.includes(name)) return;
    this.fields.push(name, value);
  }
}

const telling: ReadonlySet<string> = new Set([':method', ':path', 'content-type']);
/** In octets; longer than the path of any gRPC method. */
const longestTelling = 256;
