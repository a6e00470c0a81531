// Runs the sources with the services of echo.proto: node --import test/echo/preload.ts src/main.ts
import { registerHooks } from 'node:module';

registerHooks({
  resolve(specifier, context, next) {
    const isList = specifier === './services.ts' && context.parentURL?.endsWith('/src/app.ts');
    return next(isList ? new URL('services.ts', import.meta.url).href : specifier, context);
  },
});
