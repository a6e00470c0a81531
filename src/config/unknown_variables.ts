import { nearestOrBegun } from '../nearest.ts';
import { envName } from './names.ts';
import type { Complaint } from './tracing.ts';

const prefix = envName('');

/** For a Service named `greeter`, Kubernetes sets GREETER_PORT, GREETER_SERVICE_HOST and more in every pod. */
const ofKubernetes = /_SERVICE_|_PORT(?:_|$)/;

/** Warns of each variable that is not a setting, but resembles one. */
export function unknownVariables(
  env: Readonly<Record<string, string | undefined>>,
  settings: readonly string[],
): Complaint[] {
  const known = new Set(settings.map(envName));
  return Object.keys(env).flatMap((name) => {
    if (!name.startsWith(prefix) || known.has(name) || !env[name]) return [];
    if (ofKubernetes.test(name)) return [];
    const typed = name.slice(prefix.length).toLowerCase().replaceAll('_', '-');
    const nearest = nearestOrBegun(typed, settings);
    if (nearest === undefined) return [];
    const reason = `${name}: the nearest setting is ${envName(nearest)}`;
    return [{ level: 'warn', message: 'unknown variable', reason }];
  });
}
