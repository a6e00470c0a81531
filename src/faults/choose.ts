import type { Metadata } from 'nice-grpc-common';
import { invalidArgument } from '../errors.ts';
import { type Fault, parseFaults } from './fault.ts';
import {
  attemptsBefore,
  envoyNames,
  ofEnvoy,
  ofRpcBehavior,
  proxyAttemptsBefore,
  rpcBehavior,
} from './foreign.ts';
import { faultName } from './names.ts';

/** What the conditions of faults are compared with. */
export interface Circumstances {
  metadata: Metadata;
  hostname: string;
  /** The number of the call among those of its connection that have faults, from 1. */
  nth: number;
  /** Returns at least 0 and less than 1. */
  random: () => number;
}

/** The faults that a call asks for; undefined if it asks for none. Throws INVALID_ARGUMENT. */
export function faultsAskedBy(metadata: Metadata, hostname: string): readonly Fault[] | undefined {
  const own = metadata.getAll(faultName);
  const asks = metadata.has(rpcBehavior) || envoyNames.some((name) => metadata.has(name));
  if (own.length === 0 && !asks) return undefined;
  return [...ofRpcBehavior(metadata, hostname), ...ofEnvoy(metadata), ...parsed(own)];
}

/** The faults whose conditions hold. */
export function applicable(
  faults: readonly Fault[],
  { metadata, hostname, nth, random }: Circumstances,
): readonly Fault[] {
  const before = () => attemptsBefore(metadata) + proxyAttemptsBefore(metadata);
  return faults.filter(({ host, attempts, nth: every, p }) => {
    if (host !== undefined && host !== hostname) return false;
    if (attempts !== undefined && before() >= attempts) return false;
    if (every !== undefined && nth % every !== 0) return false;
    return p === undefined || random() < p;
  });
}

function parsed(values: readonly string[]): readonly Fault[] {
  if (values.length === 0) return [];
  try {
    return parseFaults(values.join(','));
  } catch (error) {
    if (error instanceof RangeError) throw invalidArgument(faultName, error.message);
    throw error;
  }
}
