import { ConnectionError } from './errors.ts';
import { Flag, type Frame } from './frame.ts';

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
