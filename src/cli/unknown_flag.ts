import { nearestOrBegun } from '../nearest.ts';

/** The error for an unknown flag, with the most similar known one, if there is one. */
export function unknownFlag(arg: string, names: readonly string[]): string {
  const nearest = nearestOrBegun(nameIn(arg), names);
  return `${arg}: unknown flag${nearest === undefined ? '' : `; the nearest is --${nearest}`}`;
}

/** The name in canonical form: `--No_Load_Reports=x` becomes load-reports. */
function nameIn(arg: string): string {
  const [name = ''] = arg.split('=', 1);
  const plain = name.replace(/^-+/, '').toLowerCase().replaceAll('_', '-');
  return plain.replace(/^no-(?=.)/, '').slice(0, longestName);
}

/** Longer than any known name. */
const longestName = 64;
