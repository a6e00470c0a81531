import { nearestOrBegun } from '../nearest.ts';

/** What is to say of a flag that is none: with the one that may have been meant, where one is near. */
export function unknownFlag(arg: string, names: readonly string[]): string {
  const nearest = nearestOrBegun(nameIn(arg), names);
  return `${arg}: unknown flag${nearest === undefined ? '' : `; the nearest is --${nearest}`}`;
}

/** The name alone, as names are written: `--No_Interop=x` is interop. */
function nameIn(arg: string): string {
  const [name = ''] = arg.split('=', 1);
  const plain = name.replace(/^-+/, '').toLowerCase().replaceAll('_', '-');
  return plain.replace(/^no-(?=.)/, '').slice(0, longestName);
}

/** Names of ours have fewer; what is longer is none of them. */
const longestName = 64;
