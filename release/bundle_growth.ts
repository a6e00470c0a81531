import type { Metafile } from 'esbuild';

/** The bytes of the bundle by npm package, or by folder of `src/`. */
export type BundleSizes = Readonly<Record<string, number>>;

/** The relative growth that causes no warning. */
const unnoticed = 1 / 50;
const listed = 5;

/** The sizes of a bundle, sorted by name. */
export function bundleSizes({ outputs }: Metafile): BundleSizes {
  const [output] = Object.values(outputs).filter(({ entryPoint }) => entryPoint);
  const sizes = new Map<string, number>();
  for (const [file, { bytesInOutput }] of Object.entries(output?.inputs ?? {})) {
    const part = partOf(file);
    if (bytesInOutput > 0) sizes.set(part, (sizes.get(part) ?? 0) + bytesInOutput);
  }
  return Object.fromEntries([...sizes].toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** A warning if a bundle exceeds the recorded sizes, with the parts that have grown most; undefined otherwise. */
export function growthOf(sizes: BundleSizes, recorded: BundleSizes): string | undefined {
  const [now, before] = [totalOf(sizes), totalOf(recorded)];
  if (now <= before * (1 + unnoticed)) return undefined;
  const parts = Object.entries(sizes)
    .map(([part, bytes]) => ({ part, more: bytes - (recorded[part] ?? 0) }))
    .filter(({ more }) => more > 0)
    .toSorted((a, b) => b.more - a.more);
  const most = parts.slice(0, listed).map(({ part, more }) => `${part} by ${more}`);
  return `the bundle has grown from ${before} to ${now} bytes: ${most.join(', ')}`;
}

function totalOf(sizes: BundleSizes): number {
  return Object.values(sizes).reduce((total, bytes) => total + bytes, 0);
}

function partOf(file: string): string {
  const [, name] = /^.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file) ?? [];
  return name ?? file.split('/').slice(0, 2).join('/');
}
