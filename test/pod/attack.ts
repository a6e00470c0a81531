import type { Load } from './load.ts';
import type { Done, Order } from './orders.ts';
import type { Ordeal, Pod } from './pod.ts';
import type { Probe } from './probes.ts';

/** The result of an attack. */
export interface Outcome {
  ordeal: Ordeal;
  done: Done;
  /** Violated expectations, each with a description of the attack. */
  wrong: readonly string[];
  /** A summary of what was sent, and the result. */
  summary: string;
}

/**
 * Gives an order to the load process while probes run, and afterwards once more; then all clients disconnect, and the
 * pod must become idle.
 */
export async function attack(
  { pod, load, probes = [] }: { pod: Pod; load: Load; probes?: readonly Probe[] },
  order: Order,
): Promise<Outcome> {
  const before = await pod.codes();
  let done: Done | undefined;
  const ordeal = await pod.under(async (probing) => {
    await load.run(order);
    // The connections only block others once all of them are open.
    await (order.do === 'crowd' ? probing.more(2) : probing.inAll(2));
    done = await load.leave();
  }, probes);
  if (!done) throw new Error('Cannot tell what was done: no answer');
  const failures = [...ordeal.failures];
  if (order.do !== 'crowd' && done.calls === 0) failures.push('took no call');
  await pod
    .calm()
    .catch((error: unknown) => failures.push(`does not come to rest: ${String(error)}`));
  if (!pod.isAlive()) failures.push('was killed');
  const after = pod.isAlive() ? await pod.codes() : before;
  const summary = [...spent(done), ...codes(before, after), ...came(ordeal)].join(', ');
  return { ordeal, done, summary, wrong: failures.map((failure) => `${failure} (${summary})`) };
}

/** The cell of a table. */
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
