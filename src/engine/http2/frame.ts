import { ConnectionError } from './errors.ts';

/** RFC 9113 section 6. */
export const FrameType = {
  DATA: 0x0,
  HEADERS: 0x1,
  PRIORITY: 0x2,
  RST_STREAM: 0x3,
  SETTINGS: 0x4,
  PUSH_PROMISE: 0x5,
  PING: 0x6,
  GOAWAY: 0x7,
  WINDOW_UPDATE: 0x8,
  CONTINUATION: 0x9,
} as const;

/** RFC 9113 section 6; ACK shares its bit with END_STREAM. */
export const Flag = {
  END_STREAM: 0x1,
  ACK: 0x1,
  END_HEADERS: 0x4,
  PADDED: 0x8,
  PRIORITY: 0x20,
} as const;

/** The bytes before a frame's payload: length, type, flags, stream (RFC 9113 section 4.1). */
export const frameHeaderLength = 9;

/** What every peer takes in a frame before it says otherwise (RFC 9113 section 6.5.2). */
export const defaultMaxFrameSize = 16_384;

/** The largest window, and the largest stream identifier. */
export const maxInt31 = 0x7f_ff_ff_ff;

/** What a client says first (RFC 9113 section 3.4). */
export const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

/**
 * A frame as it came in. Its payload is `bytes` from `start` to `end`; it is valid only until the
 * function it is given to returns.
 */
export interface Frame {
  type: number;
  flags: number;
  streamId: number;
  bytes: Buffer;
  start: number;
  end: number;
}

/** Whether a SETTINGS or PING frame answers one of ours. */
export function isAck({ flags }: Frame): boolean {
  return (flags & Flag.ACK) !== 0;
}

/** Throws for a frame of a stream where only the connection has such frames. */
export function expectConnection({ streamId }: Frame): void {
  if (streamId === 0) return;
  throw new ConnectionError('PROTOCOL_ERROR', 'Cannot take a frame of the connection for a stream');
}

/** Throws for a payload of another length (RFC 9113 section 4.2). */
export function expectLength(frame: Frame, length: number): void {
  if (frame.end - frame.start !== length) throw wrongLength(frame);
}

/** FRAME_SIZE_ERROR that names the frame. */
export function wrongLength({ type, start, end }: Frame): ConnectionError {
  const what = `a frame of type ${type} and ${end - start} bytes`;
  return new ConnectionError('FRAME_SIZE_ERROR', `Cannot read ${what}`);
}

/** The payload of a DATA frame without its padding, the length of which comes first (RFC 9113 section 6.1). */
export function withoutPadding(frame: Frame): Buffer {
  const { bytes, start, end, flags } = frame;
  if ((flags & Flag.PADDED) === 0) return bytes.subarray(start, end);
  if (start === end) throw wrongLength(frame);
  const to = end - bytes.readUInt8(start);
  if (to < start + 1) {
    throw new ConnectionError('PROTOCOL_ERROR', 'Cannot take padding of that length');
  }
  return bytes.subarray(start + 1, to);
}
