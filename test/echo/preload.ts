// Runs the sources with the services of echo.proto: node --import test/echo/preload.ts src/main.ts
import { registerHooks } from 'node:module';
import { replacements } from './replacements.ts';

const urlOf = (file: string) => new URL(`../../${file}`, import.meta.url).href;
const urls = new Map(
  Object.entries(replacements)
    .map((pair) => pair.map(urlOf))
    .map(([a = '', b = '']) => [a, b]),
);

registerHooks({
  resolve(specifier, context, next) {
    const found = next(specifier, context);
    const other = urls.get(found.url);
    return other === undefined || other === context.parentURL ? found : { ...found, url: other };
  },
});
