// Replaces src/services.ts: the product's services and those of echo.proto.
import { loadServices as loadProduct, type ServiceSettings } from '../../src/services.ts';
import { echoServices } from './echo.ts';

export async function loadServices(settings: ServiceSettings) {
  return [...(await loadProduct(settings)), ...echoServices()];
}
