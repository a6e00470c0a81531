import { ConnectionError } from './errors.ts';
import { defaultMaxFrameSize, type Frame, maxInt31 } from './frames.ts';
import type { Http2Limits } from './limits.ts';

/** RFC 9113 section 6.5.2. */
export const SettingId = {
  HEADER_TABLE_SIZE: 0x1,
  ENABLE_PUSH: 0x2,
  MAX_CONCURRENT_STREAMS: 0x3,
  INITIAL_WINDOW_SIZE: 0x4,
  MAX_FRAME_SIZE: 0x5,
  MAX_HEADER_LIST_SIZE: 0x6,
} as const;

/** The peer's settings that the server uses. */
export interface PeerSettings {
  /** The initial send window of a stream, in bytes. */
  initialWindowSize: number;
  /** The maximum payload of a frame, in bytes. */
  maxFrameSize: number;
  /** The maximum header list of a response in bytes, counted as in section 6.5.2; advisory. */
  maxHeaderListSize: number;
}

/** The settings before the peer's first SETTINGS frame. */
export function defaultPeerSettings(): PeerSettings {
  return {
    initialWindowSize: 65_535,
    maxFrameSize: defaultMaxFrameSize,
    maxHeaderListSize: Number.POSITIVE_INFINITY,
  };
}

const settingLength = 6;
const largestMaxFrameSize = 0xff_ff_ff;

/**
 * Applies a SETTINGS frame in order (RFC 9113 section 6.5). Throws a ConnectionError for a value out of range.
 * HEADER_TABLE_SIZE is ignored, as sender.ts uses no dynamic table.
 */
export function applySettings(settings: PeerSettings, { bytes, start, end }: Frame): void {
  if ((end - start) % settingLength !== 0) {
    throw new ConnectionError('FRAME_SIZE_ERROR', `Cannot read SETTINGS of ${end - start} bytes`);
  }
  for (let at = start; at < end; at += settingLength) {
    const id = bytes.readUInt16BE(at);
    const value = bytes.readUInt32BE(at + 2);
    if (id === SettingId.ENABLE_PUSH && value > 1) {
      throw new ConnectionError('PROTOCOL_ERROR', `Cannot set ENABLE_PUSH to ${value}`);
    }
    if (id === SettingId.INITIAL_WINDOW_SIZE) {
      if (value > maxInt31) {
        throw new ConnectionError('FLOW_CONTROL_ERROR', `Cannot set a window of ${value} bytes`);
      }
      settings.initialWindowSize = value;
    }
    if (id === SettingId.MAX_FRAME_SIZE) {
      if (value < defaultMaxFrameSize || value > largestMaxFrameSize) {
        throw new ConnectionError('PROTOCOL_ERROR', `Cannot set MAX_FRAME_SIZE to ${value}`);
      }
      settings.maxFrameSize = value;
    }
    if (id === SettingId.MAX_HEADER_LIST_SIZE) settings.maxHeaderListSize = value;
  }
}

/** The payload of the server's SETTINGS frame. */
export function ownSettings(limits: Http2Limits): Buffer {
  return encodeSettings([
    [SettingId.MAX_CONCURRENT_STREAMS, limits.maxConcurrentStreams],
    [SettingId.INITIAL_WINDOW_SIZE, limits.initialWindowSize],
    [SettingId.MAX_HEADER_LIST_SIZE, limits.maxHeaderListSize],
  ]);
}

/** Encodes the payload of a SETTINGS frame. */
export function encodeSettings(
  settings: readonly (readonly [id: number, value: number])[],
): Buffer {
  const payload = Buffer.alloc(settings.length * settingLength);
  settings.forEach(([id, value], index) => {
    payload.writeUInt16BE(id, index * settingLength);
    payload.writeUInt32BE(value, index * settingLength + 2);
  });
  return payload;
}
