// Attacks each method of the interop services: node --test --test-timeout=900000 test/interop/matrix.check.ts
import { test } from 'node:test';
import { createInterop } from '../../src/services/interop/services.ts';
import { methodsToMeasure } from '../pod/charge.ts';
import { attackMethods, type Method } from '../pod/matrix.ts';
import { podMiB } from '../pod/pod.ts';
import { interopEnv } from './pod.ts';

const methods = methodsToMeasure(createInterop()).map(({ path, requestStream }): Method => {
  // Methods that respond with any requested size are attacked one by one.
  return { name: path, path, requestStream, port: 'main', kind: path };
});

test(`${podMiB} MiB are enough for every payload to every method of the interop services`, (t) =>
  attackMethods(t, methods, interopEnv));
