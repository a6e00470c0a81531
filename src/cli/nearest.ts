/** What is to say of a flag that is none: with the one that may have been meant, where one is near. */
export function unknownFlag(arg: string, names: readonly string[]): string {
  const typed = nameIn(arg);
  const nearest = nearestTo(typed, names) ?? onlyBeginning(typed, names);
  return `${arg}: unknown flag${nearest === undefined ? '' : `; the nearest is --${nearest}`}`;
}

function nearestTo(typed: string, names: readonly string[]): string | undefined {
  // With more it is another word.
  let least = Math.min(3, typed.length * 0.4);
  let nearest: string | undefined;
  for (const name of names) {
    const distance = distanceBetween(typed, name);
    if (distance > least || (nearest !== undefined && distance === least)) continue;
    nearest = name;
    least = distance;
  }
  return nearest;
}

/** What was cut short, if that leaves no doubt. */
function onlyBeginning(typed: string, names: readonly string[]): string | undefined {
  const [only, ...others] = names.filter((name) => name.startsWith(typed));
  return typed.length >= 3 && others.length === 0 ? only : undefined;
}

/** The name alone, as names are written: `--No_Interop=x` is interop. */
function nameIn(arg: string): string {
  const [name = ''] = arg.split('=', 1);
  const plain = name.replace(/^-+/, '').toLowerCase().replaceAll('_', '-');
  return plain.replace(/^no-(?=.)/, '').slice(0, longestName);
}

/** Names of ours have fewer; what is longer is none of them. */
const longestName = 64;

/** How many letters are to be put in, taken out, replaced, or put in their neighbour's place. */
function distanceBetween(one: string, other: string): number {
  let [beforeLast, last]: [number[], number[]] = [[], []];
  let row = Array.from({ length: other.length + 1 }, (_, at) => at);
  for (let i = 1; i <= one.length; i++) {
    [beforeLast, last, row] = [last, row, [i]];
    for (let j = 1; j <= other.length; j++) {
      const isSame = one[i - 1] === other[j - 1];
      const isSwapped =
        i > 1 && j > 1 && one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1];
      row[j] = Math.min(
        (last[j] ?? 0) + 1,
        (row[j - 1] ?? 0) + 1,
        (last[j - 1] ?? 0) + (isSame ? 0 : 1),
        isSwapped ? (beforeLast[j - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY,
      );
    }
  }
  return row[other.length] ?? 0;
}
