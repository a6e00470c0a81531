import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { createInterop } from '../../src/services/interop/services.ts';
import { methodsToMeasure } from '../pod/charge.ts';
import { attackMethods, type Method } from '../pod/matrix.ts';
import { podMiB } from '../pod/pod.ts';
import { interopEnv } from './pod.ts';

/** `npm test` attacks another method; POD_MATRIX=all attacks these as well. */
const isPlayed = process.env['POD_MATRIX'] === 'all' || process.env['POD_METHOD'] !== undefined;
const skip = isPlayed && existsSync('/proc/self/status') ? false : 'needs POD_MATRIX and /proc';
const methods = methodsToMeasure(createInterop()).map(({ path, requestStream }): Method => {
  // Methods that respond with any requested size are attacked one by one.
  return { name: path, path, requestStream, port: 'main', kind: path };
});

test(
  `${podMiB} MiB are enough for every payload to every method of the interop services`,
  { skip },
  (t) => attackMethods(t, methods, interopEnv),
);
