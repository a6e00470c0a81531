/** What no later header block survives: a connection error COMPRESSION_ERROR (RFC 9113 section 4.3). */
export class HpackError extends Error {
  /** It is right so far, and more than we decode: ENHANCE_YOUR_CALM. */
  readonly isExcess: boolean;

  constructor(rule: string, { isExcess = false } = {}) {
    super(`Cannot decode a header block: ${rule}`);
    this.name = 'HpackError';
    this.isExcess = isExcess;
  }
}
