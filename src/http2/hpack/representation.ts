/** How an octet begins: the bits of `mask` hold the beginning of an integer, those above it are `pattern`. */
export interface Prefix {
  readonly pattern: number;
  readonly mask: number;
}

/** The binary representations of a header field (RFC 7541 section 6). */
export const representation = {
  /** Section 6.1. */
  indexed: { pattern: 0x80, mask: 0x7f },
  /** Section 6.2.1. */
  withIncrementalIndexing: { pattern: 0x40, mask: 0x3f },
  /** Section 6.3. */
  sizeUpdate: { pattern: 0x20, mask: 0x1f },
  /** Section 6.2.3. */
  neverIndexed: { pattern: 0x10, mask: 0x0f },
  /** Section 6.2.2. */
  withoutIndexing: { pattern: 0x00, mask: 0x0f },
} as const;

/** The binary representations of a string (RFC 7541 section 5.2). */
export const stringRepresentation = {
  huffman: { pattern: 0x80, mask: 0x7f },
  plain: { pattern: 0x00, mask: 0x7f },
} as const;
