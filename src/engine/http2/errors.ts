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

/** The error code as a metric label. */
export function lowerCase<Name extends Code>(name: Name): Lowercase<Name> {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- toLowerCase() has no type for that
  return name.toLowerCase() as Lowercase<Name>;
}

/** A protocol error that ends the connection with GOAWAY (RFC 9113 section 5.4.1). */
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

/** The peer does not speak HTTP/2 and cannot read GOAWAY. */
export class WrongProtocol extends ConnectionError {
  readonly protocol: 'http1' | 'tls' | 'text' | 'unknown';
  /** Bytes of earlier chunks, which could have been a preface. */
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

/** A protocol error that ends one stream with RST_STREAM (RFC 9113 section 5.4.2). */
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

  /** The corresponding connection error, as RST_STREAM must not name an idle stream (section 6.4). */
  forConnection(): ConnectionError {
    return new ConnectionError(this.codeName, this.message);
  }
}
