import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { createInterop } from '../../src/services/interop/services.ts';
import {
  maxRatio,
  measureCharges,
  medium,
  type Method,
  methodAt,
  methodsToMeasure,
} from '../pod/charge.ts';
import { interopEnv, testMethod } from './pod.ts';

const skip = existsSync('/proc/self/status') ? false : 'needs /proc';
const methods = methodsToMeasure(createInterop());
const unary = method('unaryCall');
const output = method('streamingOutputCall');
const duplex = method('fullDuplexCall');
const halfDuplex = method('halfDuplexCall');
const empty = method('emptyCall');

test(
  `the interop services take at most ${maxRatio} bytes for each byte that is charged`,
  { skip },
  (t) =>
    measureCharges(t, {
      env: interopEnv,
      methods,
      some: [
        { method: halfDuplex, payload: 'plain', state: 'whole', ...medium },
        { method: duplex, payload: 'a status behind a response', state: 'unread', calls: 1000 },
      ],
      lines: [
        { method: unary, payload: 'a status of 4 MiB', state: 'unread', calls: 4 },
        { method: unary, payload: 'responses of 4 MiB', state: 'unread', calls: 4 },
        { method: unary, payload: 'responses of 4 MiB', state: 'not read', calls: 6 },
        { method: output, payload: 'responses of 4 MiB', state: 'unread', calls: 4 },
        { method: output, payload: 'responses of 4 MiB', state: 'not read', calls: 6 },
        { method: duplex, payload: 'a status behind a response', state: 'unread', calls: 1000 },
        { method: halfDuplex, payload: 'requests that are kept', state: 'whole', calls: 4 },
        { method: empty, payload: 'metadata that is echoed', state: 'unread', calls: 1000 },
        { method: empty, payload: 'metadata that is echoed', state: 'not read', calls: 2000 },
      ],
    }),
);

function method(name: Parameters<typeof testMethod>[0]): Method {
  const attacked = testMethod(name);
  return { ...methodAt(methods, attacked.path), ...attacked };
}
