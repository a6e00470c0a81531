import type {
  Abortable,
  Connected,
  Counted,
  Drainable,
  Faulty,
  Sending,
  WithProtocol,
} from '../context.ts';
import type { FaultCounts } from './counts.ts';
import type { Fault } from './fault.ts';

/** What injects faults. */
export interface FaultOptions {
  /** The faults of calls that ask for none. */
  rules: readonly Fault[];
  /** The maximum of calls with faults that are open at once; further ones are served without theirs. */
  max: number;
  counts: FaultCounts;
  hostname: string;
  /** Returns at least 0 and less than 1. */
  random?: () => number;
}

/** Context added by earlier middleware and the engine. */
export type Known = Abortable & Connected & Counted & Drainable & Faulty & Sending & WithProtocol;
