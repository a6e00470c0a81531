/** RFC 9113 section 7. */
export const ErrorCode = {
  NO_ERROR: 0x0,
  PROTOCOL_ERROR: 0x1,
  INTERNAL_ERROR: 0x2,
  FLOW_CONTROL_ERROR: 0x3,
  SETTINGS_TIMEOUT: 0x4,
  STREAM_CLOSED: 0x5,
  FRAME_SIZE_ERROR: 0x6,
  REFUSED_STREAM: 0x7,
  CANCEL: 0x8,
  COMPRESSION_ERROR: 0x9,
  CONNECT_ERROR: 0xa,
  ENHANCE_YOUR_CALM: 0xb,
  INADEQUATE_SECURITY: 0xc,
  HTTP_1_1_REQUIRED: 0xd,
} as const;

/** The name of an error code. */
export type Code = keyof typeof ErrorCode;

/** The same as metrics write it. */
export function lowerCase<Name extends Code>(name: Name): Lowercase<Name> {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- toLowerCase() has no type for that
  return name.toLowerCase() as Lowercase<Name>;
}

/**
 * What a peer did that no stream survives: it is told with GOAWAY, and the connection is closed
 * (RFC 9113 section 5.4.1).
 */
export class ConnectionError extends Error {
  readonly code: number;
  readonly codeName: Code;

  constructor(code: Code, message: string) {
    super(message);
    this.name = 'ConnectionError';
    this.code = ErrorCode[code];
    this.codeName = code;
  }
}

/** A peer that speaks something else than HTTP/2, which it has no GOAWAY for. */
export class WrongProtocol extends ConnectionError {
  readonly protocol: 'http1' | 'tls' | 'text' | 'unknown';
  /** What had come before and could have been HTTP/2. */
  readonly before: Buffer;

  constructor(
    protocol: WrongProtocol['protocol'],
    { message, before }: { message: string; before: Buffer },
  ) {
    super('PROTOCOL_ERROR', message);
    this.name = 'WrongProtocol';
    this.protocol = protocol;
    this.before = before;
  }
}

/** What a peer did that ends one stream alone: it is told with RST_STREAM (RFC 9113 section 5.4.2). */
export class StreamError extends Error {
  readonly code: number;
  readonly codeName: Code;
  readonly streamId: number;

  constructor(streamId: number, code: Code, message: string) {
    super(message);
    this.name = 'StreamError';
    this.streamId = streamId;
    this.code = ErrorCode[code];
    this.codeName = code;
  }

  /** The same for the whole connection: no RST_STREAM may name an idle stream (section 6.4). */
  forConnection(): ConnectionError {
    return new ConnectionError(this.codeName, this.message);
  }
}
