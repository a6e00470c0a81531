// The product's services and the one that all peers are called by, in place of src/services.ts.
import { type ServiceSettings, loadServices as loadProduct } from '../../src/services.ts';
import { service as serviceOf } from '../../src/services/service.ts';
import { EchoDefinition } from '../../test/echo/gen/echo.ts';
import { service } from './service.ts';

export async function loadServices(settings: ServiceSettings) {
  const echo = serviceOf({ definition: EchoDefinition, implementation: () => service });
  return [...(await loadProduct(settings)), echo];
}
