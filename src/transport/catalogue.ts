import type { CountedMethod } from '../observability/call_counts.ts';
import type { Service } from '../services/service.ts';
import { pathOf, pathsOf } from './paths.ts';

type Listed = Pick<Service<never>, 'definition' | 'policy'>;

/** Every method, with its names in metrics. */
export function methodsOf(services: readonly Listed[]): readonly CountedMethod[] {
  return services.flatMap(({ definition }) =>
    Object.values(definition.methods).map((method) => ({
      path: pathOf(definition, method),
      service: definition.fullName,
      method: method.name,
      type: typeOf(method),
    })),
  );
}

/** The paths of methods that are exempt from limits; see services/service.ts. */
export interface Exempt {
  longLived: ReadonlySet<string>;
  unlimited: ReadonlySet<string>;
  essential: ReadonlySet<string>;
  quiet: ReadonlySet<string>;
}

/** The exemptions that the services' policies define. */
export function exemptIn(services: readonly Listed[]): Exempt {
  const paths = (policy: keyof Exempt) =>
    new Set(services.flatMap((service) => pathsUnder(service, policy)));
  return {
    longLived: paths('longLived'),
    unlimited: paths('unlimited'),
    essential: paths('essential'),
    quiet: paths('quiet'),
  };
}

function pathsUnder({ definition, policy }: Listed, name: keyof Exempt): string[] {
  const methods = policy[name] ?? [];
  if (methods === 'all') return pathsOf(definition);
  return Object.entries(definition.methods)
    .filter(([key]) => methods.includes(key))
    .map(([, method]) => pathOf(definition, method));
}

function typeOf(method: { requestStream: boolean; responseStream: boolean }) {
  if (method.requestStream) return method.responseStream ? 'bidi_stream' : 'client_stream';
  return method.responseStream ? 'server_stream' : 'unary';
}
