import { bounded } from '../engine/bounded.ts';
import { nearestTo } from '../nearest.ts';

/** Longer paths are not typing errors. */
const longestPath = 256;
/** The maximum length of a path in a message, in bytes as JSON. */
const maxPathBytes = 200;
/** Callers of an unknown method usually repeat the call. */
const maxRemembered = 256;

/**
 * Describes an unknown method to its caller: whether the service or the method is unknown, and the most similar one,
 * if there is one. The last 256 descriptions are cached.
 */
export function createUnknownMethods(paths: readonly string[]): (path: string) => string {
  const describe = describer(paths);
  const known = new Map<string, string>();
  return (path) => {
    if (path.length > longestPath) return `Cannot find method ${bounded(path, maxPathBytes)}`;
    const before = known.get(path);
    if (before !== undefined) return before;
    const message = describe(path);
    if (known.size >= maxRemembered) forgetFirst(known);
    known.set(path, message);
    return message;
  };
}

function forgetFirst(map: Map<string, unknown>): void {
  for (const key of map.keys()) {
    map.delete(key);
    return;
  }
}

/** Names by their lower-case form, as case is ignored. */
type Names = Map<string, string>;

function describer(paths: readonly string[]): (path: string) => string {
  const services: Names = new Map();
  const methods = new Map<string, Names>();
  for (const path of paths) {
    const { service = '', method = '' } = split(path) ?? {};
    services.set(service.toLowerCase(), service);
    const names = methods.get(service) ?? new Map<string, string>();
    methods.set(service, names.set(method.toLowerCase(), method));
  }

  return (path) => {
    const asked = split(path);
    if (!asked) return `Cannot find method ${bounded(path, maxPathBytes)}`;
    const { service, method } = asked;
    const names = methods.get(service);
    if (names) {
      const nearest = nearestIn(names, method);
      return withNearest(
        `method ${bounded(path, maxPathBytes)}`,
        nearest && `/${service}/${nearest}`,
      );
    }
    const nearest = nearestIn(services, service) ?? inOtherPackage(asked);
    return withNearest(`service ${bounded(service, maxPathBytes)}`, nearest);
  };

  /** Finds a service whose name matches in another package, or without one. */
  function inOtherPackage({ service, method }: Asked): string | undefined {
    const name = unqualified(service.toLowerCase());
    const found = services.entries().filter(([lower]) => unqualified(lower) === name);
    const named = Array.from(found, ([, each]) => each);
    return named.find((each) => methods.get(each)?.has(method.toLowerCase())) ?? named[0];
  }
}

interface Asked {
  service: string;
  method: string;
}

function split(path: string): Asked | undefined {
  const [root, service, method, ...more] = path.split('/');
  if (root !== '' || !service || !method || more.length > 0) return undefined;
  return { service, method };
}

function nearestIn(names: Names, typed: string): string | undefined {
  const nearest = nearestTo(typed.toLowerCase(), names.keys());
  return nearest === undefined ? undefined : names.get(nearest);
}

function unqualified(name: string): string {
  return name.slice(name.lastIndexOf('.') + 1);
}

function withNearest(what: string, nearest: string | undefined): string {
  return `Cannot find ${what}${nearest === undefined ? '' : `; the nearest is ${nearest}`}`;
}
