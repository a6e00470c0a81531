import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { loadConfig } from '../../src/config.ts';
import { loadServices } from '../echo/services.ts';
import { paths } from '../support/kinds.ts';
import { scriptPaths } from '../support/script.ts';
import {
  large,
  maxRatio,
  measureCharges,
  medium,
  methodAt,
  methodsToMeasure,
  small,
} from './charge.ts';
import { baseEnv } from './pod.ts';

const skip = existsSync('/proc/self/status') ? false : 'needs /proc';
const settings = { GREETER_LOAD_REPORTS: 'on' };
const config = loadConfig({ flags: {}, env: { ...baseEnv(), ...settings } });
const methods = methodsToMeasure(await loadServices(config));
const unary = methodAt(methods, scriptPaths.unary);
const output = methodAt(methods, scriptPaths.serverStream);
const input = methodAt(methods, scriptPaths.clientStream);
const bidi = methodAt(methods, scriptPaths.bidi);
const keeping = methodAt(methods, paths.clientStream);
const reflection = methodAt(methods, '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo');

test(`memory is at most ${maxRatio} bytes for each byte that is charged`, { skip }, async (t) => {
  await measureCharges(t, {
    env: settings,
    methods,
    // Some of each kind that once exceeded the charges.
    some: [
      { method: unary, payload: 'plain', state: 'begun', ...small },
      { method: unary, payload: 'plain', state: 'unread', ...small },
      { method: bidi, payload: 'plain', state: 'half', ...small },
      { method: bidi, payload: 'gzip', state: 'whole', ...medium },
      { method: input, payload: 'plain', state: 'whole', ...medium },
      { method: input, payload: 'repeated field', state: 'whole', ...medium },
      { method: reflection, payload: 'plain', state: 'whole', ...large },
      { method: keeping, payload: 'plain', state: 'whole', ...medium },
      { method: bidi, payload: 'a status behind a response', state: 'unread', calls: 1000 },
      { method: bidi, payload: 'metadata', state: 'whole', calls: 300 },
    ],
    lines: [
      { method: unary, payload: 'a status of 4 MiB', state: 'unread', calls: 4 },
      { method: unary, payload: 'responses of 4 MiB', state: 'unread', calls: 4 },
      { method: unary, payload: 'responses of 4 MiB', state: 'not read', calls: 6 },
      { method: output, payload: 'responses of 4 MiB', state: 'unread', calls: 4 },
      { method: output, payload: 'responses of 4 MiB', state: 'not read', calls: 6 },
      { method: bidi, payload: 'a status behind a response', state: 'unread', calls: 1000 },
      { method: keeping, payload: 'requests that are kept', state: 'whole', calls: 4 },
      { method: unary, payload: 'metadata that is returned', state: 'unread', calls: 1000 },
      { method: unary, payload: 'metadata that is returned', state: 'not read', calls: 2000 },
      { method: reflection, payload: 'questions', state: 'unread', calls: 100 },
    ],
  });
});
