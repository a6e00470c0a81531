import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { loadConfig } from '../../src/config.ts';
import { HealthDefinition } from '../../src/gen/grpc/health/v1/health.ts';
import { OpenRcaServiceDefinition } from '../../src/gen/xds/service/orca/v3/orca.ts';
import { loadServices } from '../../src/services.ts';
import { methodsOf } from '../../src/transport/catalogue.ts';
import { pathsOf } from '../../src/transport/paths.ts';
import { echoServices } from '../echo/echo.ts';
import { attackMethods, type Method } from './matrix.ts';
import { baseEnv, podMiB } from './pod.ts';

const skip = existsSync('/proc/self/status') ? false : 'needs /proc';
const product = await loadServices(loadConfig({ flags: {}, env: baseEnv() }));
const methods: readonly Method[] = [
  ...methodsOf(product).map(({ path, type }) => method(path, isRequestStream(type), type)),
  // Methods that respond with any requested size are attacked one by one.
  ...methodsOf(echoServices()).map(({ path, type }) => method(path, isRequestStream(type), path)),
  ...pathsOf(HealthDefinition).map((path): Method => ({
    ...method(path, false, 'health'),
    name: `${path} (health port)`,
    port: 'health',
  })),
  // Load reports are off.
  ...pathsOf(OpenRcaServiceDefinition).map((path) => ({
    ...method(path, false, 'unserved'),
    name: 'a method that nobody serves',
  })),
];

test(`${podMiB} MiB are enough for every payload to every method`, { skip }, async (t) => {
  await attackMethods(t, methods, {});
});

function method(path: string, requestStream: boolean, kind: string): Method {
  return { name: path, path, requestStream, port: 'main', kind };
}

function isRequestStream(type: string): boolean {
  return type === 'client_stream' || type === 'bidi_stream';
}
