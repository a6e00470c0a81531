/** What a field counts beside its octets (RFC 7541 section 4.1). */
export const fieldOverhead = 32;

/** What a header block says. It may be given out again: nobody changes it. */
export interface HeaderList {
  /**
   * Names and values in turn, one character an octet. If the list is too large, these are what says
   * whose it is: its method, its path and its content type, those that are there and short.
   */
  readonly fields: readonly string[];
  /** RFC 9113 section 6.5.2: a field counts its octets and 32 more. */
  readonly size: number;
  /** The list is larger than we take: more than `maxHeaderListSize`. */
  readonly tooLarge: boolean;
  /** The next equal block will be this very list: what is made of it can be kept with it. */
  readonly isKept: boolean;
}

/** The size of a list of names and values in turn, as RFC 9113 section 6.5.2 counts it. */
export function listSize(fields: readonly string[]): number {
  let size = (fields.length / 2) * fieldOverhead;
  for (const text of fields) size += text.length;
  return size;
}

/** Gathers a list, up to a size. */
export class HeaderListBuilder implements HeaderList {
  fields: string[] = [];
  tooLarge = false;
  isKept = false;
  size = 0;
  readonly #maxSize: number;

  constructor(maxSize: number) {
    this.#maxSize = maxSize;
  }

  /** An index of one octet may stand for kilobytes, so hardly anything is kept beyond the limit. */
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

  /** Keeps a field that says whose the list is, once. */
  #tell(name = '', value = ''): void {
    if (!telling.has(name) || value.length > longestTelling || this.fields.includes(name)) return;
    this.fields.push(name, value);
  }
}

const telling: ReadonlySet<string> = new Set([':method', ':path', 'content-type']);
/** In octets: longer than a method's path is. */
const longestTelling = 256;
