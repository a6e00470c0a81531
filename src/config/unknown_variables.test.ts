import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settingRows } from '../config.ts';
import { unknownVariables } from './unknown_variables.ts';

const settings = settingRows().map(({ name }) => name);

test('unknownVariables() names the intended setting, once for each variable', () => {
  const meant: Record<string, string> = {
    GREETER_DRAIN_TIMEOT: 'GREETER_DRAIN_TIMEOUT',
    GREETER_LISTN: 'GREETER_LISTEN',
    GREETER_TLS_CERT: 'GREETER_TLS_CERT_FILE',
    GREETER_log_level: 'GREETER_LOG_LEVEL',
  };
  const env = Object.fromEntries(Object.keys(meant).map((name) => [name, '1']));

  assert.deepEqual(
    unknownVariables(env, settings),
    Object.entries(meant).map(([name, nearest]) => ({
      level: 'warn',
      message: 'unknown variable',
      reason: `${name}: the nearest setting is ${nearest}`,
    })),
  );
});

test('unknownVariables() ignores settings, variables of Kubernetes, and names that resemble no setting', () => {
  const known = settingRows().map(({ env }) => env);
  const ofKubernetes = [
    'GREETER_PORT',
    'GREETER_PORT_50051_TCP',
    'GREETER_LISTEN_PORT',
    'GREETER_SERVICE_HOST',
    'GREETER_SERVICE_PORT_LISTEN',
    'GREETER_LISTE_SERVICE_HOST',
  ];
  const others = ['GREETER_', 'GREETER_X', 'GREETER_IMAGE_TAG', 'LISTN', 'GREETERLISTN'];
  const names = [...known, ...ofKubernetes, ...others];
  const env = Object.fromEntries(names.map((name) => [name, '1']));

  assert.deepEqual(unknownVariables({ ...env, GREETER_LISTN: '' }, settings), []);
});
