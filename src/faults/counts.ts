import type { FaultKind } from './fault.ts';

/** Counts of injected faults, for metrics. */
export interface FaultCounts {
  readonly injected: Map<FaultKind, number>;
  /** Calls with faults that are open now. */
  active: number;
  /** Calls that were served without their faults, as too many were active. */
  overflow: number;
}

export function createFaultCounts(): FaultCounts {
  return { injected: new Map(), active: 0, overflow: 0 };
}
