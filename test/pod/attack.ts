import type { Load } from './load.ts';
import type { Done, Order } from './orders.ts';
import type { Ordeal, Pod } from './pod.ts';
import type { Probe } from './probes.ts';

/** What an attack has come to. */
export interface Outcome {
  ordeal: Ordeal;
  done: Done;
  /** What was wrong, each with what the attack was. */
  wrong: readonly string[];
  /** What was sent, and what came of it. */
  summary: string;
}

/**
 * Gives the load process an order and has the probes answered while it is carried out, and afterwards once
 * more; then all clients go, and the pod has to come to rest.
 */
export async function attack(
  { pod, load, probes = [] }: { pod: Pod; load: Load; probes?: readonly Probe[] },
  order: Order,
): Promise<Outcome> {
  const before = await pod.codes();
  let done: Done | undefined;
  const ordeal = await pod.under(async (probing) => {
    await load.run(order);
    // A crowd has closed nobody out before it was whole.
    await (order.do === 'crowd' ? probing.more(2) : probing.inAll(2));
    done = await load.leave();
  }, probes);
  if (!done) throw new Error('Cannot tell what was done: no answer');
  const failures = [...ordeal.failures];
  if (order.do === 'flood' && done.calls === 0) failures.push('took no call');
  await pod
    .calm()
    .catch((error: unknown) => failures.push(`does not come to rest: ${String(error)}`));
  const after = pod.isAlive() ? await pod.codes() : before;
  const summary = [...spent(done), ...codes(before, after), ...came(ordeal)].join(', ');
  return { ordeal, done, summary, wrong: failures.map((failure) => `${failure} (${summary})`) };
}

/** How a cell of a table says it. */
export function peakCell(pod: Pod, { ordeal, wrong }: Outcome): string {
  if (!pod.isAlive()) return 'KILLED';
  return `${Math.round(ordeal.peak)}${wrong.length > 0 ? '!' : ''}`;
}

function spent({ bytesSent, bytesRead, connected, closed, calls, ended, reset, took }: Done) {
  return [
    `${bytes(bytesSent)} sent and ${bytes(bytesRead)} read in ${Math.round(took)} ms`,
    `${connected} connections (${closed} closed)`,
    ...(calls > 0 ? [`${calls} calls (${ended} ended, ${reset} reset)`] : []),
  ];
}

function codes(before: Record<string, number>, after: Record<string, number>): string[] {
  return Object.entries(after)
    .map(([code, count]) => [code, count - (before[code] ?? 0)] as const)
    .filter(([, count]) => count > 0)
    .map(([code, count]) => `${count} ${code}`);
}

function came({ peak, sockets, load, slowest, answered }: Ordeal): string[] {
  return [
    `${Math.round(peak)} MiB at most`,
    ...(sockets === undefined ? [] : [`${Math.round(sockets)} MiB of sockets`]),
    `${load.toFixed(2)} processors`,
    `${answered} probes answered in at most ${Math.round(slowest)} ms`,
  ];
}

function bytes(count: number): string {
  return count < 1e6 ? `${(count / 1e3).toFixed(1)} kB` : `${(count / 1e6).toFixed(1)} MB`;
}
