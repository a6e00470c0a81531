// Replaces src/services.ts: the product's services and the echo service that all peers serve.
import { type ServiceSettings, loadServices as loadProduct } from '../../src/services.ts';
import { service as serviceOf } from '../../src/services/service.ts';
import { EchoDefinition } from '../../test/echo/gen/echo.ts';
import { service } from './service.ts';

export async function loadServices(settings: ServiceSettings) {
  const echo = serviceOf({ definition: EchoDefinition, implementation: () => service });
  return [...(await loadProduct(settings)), echo];
}
