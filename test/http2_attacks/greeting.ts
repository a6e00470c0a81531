import { FrameType, preface } from '../../src/engine/http2/frames.ts';
import { encodeSettings, SettingId } from '../../src/engine/http2/settings.ts';
import { frameOf } from '../support/http2_peer.ts';

/** The preface, and SETTINGS with a stream window. */
export function greeting(initialWindowSize = 65_535): Buffer {
  const settings = encodeSettings([[SettingId.INITIAL_WINDOW_SIZE, initialWindowSize]]);
  return Buffer.concat([preface, frameOf(FrameType.SETTINGS, 0, 0, settings)]);
}

/** The first stream identifiers. */
export function ids(count: number): number[] {
  return Array.from({ length: count }, (_, i) => 2 * i + 1);
}
