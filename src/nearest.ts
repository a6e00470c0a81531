/** The most similar name, at an edit distance of at most three, less for short names; undefined if there is none. */
export function nearestTo(typed: string, names: Iterable<string>): string | undefined {
  // A greater distance means another word.
  let least = Math.min(3, typed.length * 0.4);
  let nearest: string | undefined;
  for (const name of names) {
    const distance = distanceWithin(typed, name, least);
    if (distance > least || (nearest !== undefined && distance === least)) continue;
    nearest = name;
    least = distance;
  }
  return nearest;
}

/** The most similar name, or the only one that starts like this. */
export function nearestOrBegun(typed: string, names: readonly string[]): string | undefined {
  return nearestTo(typed, names) ?? onlyBeginning(typed, names);
}

function onlyBeginning(typed: string, names: readonly string[]): string | undefined {
  const [only, ...others] = names.filter((name) => name.startsWith(typed));
  return typed.length >= 3 && others.length === 0 ? only : undefined;
}

/**
 * The edit distance with transpositions (optimal string alignment), or Infinity above `most`. It examines no more
 * than it needs.
 */
function distanceWithin(one: string, other: string, most: number): number {
  if (Math.abs(one.length - other.length) > most) return Number.POSITIVE_INFINITY;
  let start = 0;
  while (start < one.length && one[start] === other[start]) start++;
  const [from, to] = [one.slice(start), other.slice(start)];
  let [beforeLast, last]: [number[], number[]] = [[], []];
  let row = Array.from({ length: to.length + 1 }, (_, at) => at);
  for (let i = 1; i <= from.length; i++) {
    [beforeLast, last, row] = [last, row, [i]];
    let least = i;
    for (let j = 1; j <= to.length; j++) {
      const isSame = from[i - 1] === to[j - 1];
      const isSwapped = i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1];
      const distance = Math.min(
        (last[j] ?? 0) + 1,
        (row[j - 1] ?? 0) + 1,
        (last[j - 1] ?? 0) + (isSame ? 0 : 1),
        isSwapped ? (beforeLast[j - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY,
      );
      row[j] = distance;
      if (distance < least) least = distance;
    }
    if (least > most) return Number.POSITIVE_INFINITY;
  }
  return row[to.length] ?? 0;
}
