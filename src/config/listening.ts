import { isIP } from 'node:net';
import { messageOf } from '../message_of.ts';
import type { Address } from '../address.ts';
import { overlap } from './addresses.ts';

/** Addresses to listen on, by setting. */
export interface Places {
  readonly listen: readonly Address[];
  readonly healthListen: readonly Address[];
  readonly adminListen: readonly Address[] | undefined;
}

/** Resolves a name to all of its addresses. */
export type Lookup = (name: string) => Promise<readonly string[]>;

/** Reports overlapping addresses, which the system would refuse only at the start. */
export function overlapProblems(
  places: Places,
  invalid: ReadonlySet<string> = new Set(),
): string[] {
  const all = namedPlaces(places).filter(({ name }) => !invalid.has(name));
  return all.flatMap(({ name, address }, index) => {
    const taken = all.slice(0, index).find((place) => overlap(place.address, address));
    if (!taken) return [];
    const rule =
      taken.address.text === address.text
        ? `must not be one of --${taken.name} as well`
        : `must not overlap "${taken.address.text}" of --${taken.name}`;
    return [`--${name} "${address.text}": ${rule}`];
  });
}

/** Resolves all names; returns the addresses and the errors. */
export async function resolvePlaces(
  places: Places,
  lookup: Lookup = lookUp,
): Promise<Places & { problems: readonly string[] }> {
  const problems: string[] = [];
  const [listen, healthListen, adminListen] = await Promise.all([
    resolveAll('listen', places.listen),
    resolveAll('health-listen', places.healthListen),
    resolveAll('admin-listen', places.adminListen ?? []),
  ]);
  const resolved = { listen, healthListen, adminListen: places.adminListen && adminListen };
  return { ...resolved, problems: [...problems, ...overlapProblems(resolved)] };

  function resolveAll(name: string, list: readonly Address[]): Promise<Address[]> {
    return Promise.all(list.map((address) => resolveOne(name, address)));
  }

  async function resolveOne(name: string, address: Address): Promise<Address> {
    if ('path' in address || !isName(address.host)) return address;
    try {
      return { ...address, hosts: [...new Set(await lookup(address.host))] };
    } catch (error) {
      problems.push(
        `--${name} "${address.text}": must have a name that is known: ${messageOf(error)}`,
      );
      return address;
    }
  }
}

function namedPlaces({ listen, healthListen, adminListen = [] }: Places) {
  const lists = [
    { name: 'listen', list: listen },
    { name: 'health-listen', list: healthListen },
    { name: 'admin-listen', list: adminListen },
  ];
  return lists.flatMap(({ name, list }) => list.map((address) => ({ name, address })));
}

/** Short IPv4 addresses such as 127.1 are names for Node; the system's resolver reads them. */
function isName(host: string | undefined): host is string {
  return host !== undefined && !host.startsWith('[') && isIP(host) === 0;
}

async function lookUp(name: string): Promise<readonly string[]> {
  // Loaded only if there is a name.
  const { lookup } = await import('node:dns/promises');
  return (await lookup(name, { all: true })).map(({ address }) => address);
}
