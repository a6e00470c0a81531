/** What no later header block survives: a connection error COMPRESSION_ERROR (RFC 9113 section 4.3). */
export class HpackError extends Error {
  constructor(rule: string) {
    super(`Cannot decode a header block: ${rule}`);
    this.name = 'HpackError';
  }
}
