import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settingRows } from '../config.ts';
import { unknownFlag } from './unknown_flag.ts';

const names = settingRows().map(({ name }) => name);

test('unknownFlag() names the flag most similar to a misspelt or truncated one', () => {
  const meant: Record<string, string> = {
    '--listn': 'listen',
    '--lisetn=:1': 'listen',
    '-listen': 'listen',
    '--Listen': 'listen',
    '--drain_timeout': 'drain-timeout',
    '--drain-timout': 'drain-timeout',
    '--draintimeout=1s': 'drain-timeout',
    '--no-load-reports': 'load-reports',
    '--max-conections': 'max-connections',
    '--log-levle': 'log-level',
    '--tls-cert': 'tls-cert-file',
    '--tls-key': 'tls-key-file',
  };
  for (const [typed, name] of Object.entries(meant)) {
    assert.equal(unknownFlag(typed, names), `${typed}: unknown flag; the nearest is --${name}`);
  }
});

test('unknownFlag() names no flag if none is similar, and terminates for any text', () => {
  for (const typed of [
    '--nope',
    '-p',
    '--',
    '---',
    '--=x',
    '--no-',
    '--port',
    `--${'x'.repeat(1e6)}`,
  ]) {
    assert.equal(unknownFlag(typed, names), `${typed}: unknown flag`);
  }
});
