import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConnectionError, ErrorCode } from './errors.ts';
import { applySettings, defaultPeerSettings, encodeSettings } from './settings.ts';

/** The peer settings after these entries. */
function apply(settings: [id: number, value: number][], cut = 0) {
  const peer = defaultPeerSettings();
  const bytes = encodeSettings(settings);
  const end = bytes.length - cut;
  applySettings(peer, { type: 4, flags: 0, streamId: 0, bytes, start: 0, end });
  return peer;
}

test('applySettings() applies the last value of each setting, and ignores unknown ones', () => {
  const peer = apply([
    [0x4, 1],
    [0x5, 16_777_215],
    [0x1, 0],
    [0x2, 0],
    [0x6, 1],
    [0xff, 7],
    [0x4, 2_147_483_647],
  ]);

  assert.deepEqual(peer, {
    initialWindowSize: 2_147_483_647,
    maxFrameSize: 16_777_215,
    maxHeaderListSize: 1,
  });
});

test('applySettings() rejects values out of range (RFC 9113 section 6.5.2)', () => {
  const wrong: [settings: [number, number][], cut: number, code: number][] = [
    [[[0x2, 2]], 0, ErrorCode.PROTOCOL_ERROR],
    [[[0x4, 2 ** 31]], 0, ErrorCode.FLOW_CONTROL_ERROR],
    [[[0x5, 16_383]], 0, ErrorCode.PROTOCOL_ERROR],
    [[[0x5, 16_777_216]], 0, ErrorCode.PROTOCOL_ERROR],
    [[[0x4, 1]], 1, ErrorCode.FRAME_SIZE_ERROR],
  ];

  for (const [settings, cut, code] of wrong) {
    assert.throws(
      () => apply(settings, cut),
      (error) => error instanceof ConnectionError && error.code === code,
    );
  }
});
