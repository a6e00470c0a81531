import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readFaultSettings } from './settings.ts';

/** The parsed value of --faults. */
function faultsOf(text: string): unknown {
  let value: unknown;
  readFaultSettings((name, { parse, fallback }) => {
    const parsed = parse(name === 'faults' ? text : fallback);
    if (name === 'faults') value = parsed;
    return parsed;
  });
  return value;
}

test('--faults is on, off or rules', () => {
  assert.deepEqual(faultsOf('on'), []);
  assert.equal(faultsOf('off'), undefined);
  assert.partialDeepStrictEqual(faultsOf('refuse'), [{ kind: 'refuse' }]);
});

for (const [text, rule] of [
  ['On', 'must be in lower case: on'],
  ['OFF', 'must be in lower case: off'],
  ['', /must be on, off or faults such as .*: entry 1, "": must not be empty/],
] as const) {
  test(`--faults refuses ${text}`, () => {
    assert.throws(() => faultsOf(text), { name: 'RangeError', message: rule });
  });
}
