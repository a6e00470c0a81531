/** A word as it may be typed in a shell: quoted where it has to be, for people on Windows as well if it can be. */
export function shellWord(word: string): string {
  if (/^[\w%+,./:=@-]+$/.test(word)) return word;
  // What cmd.exe takes, and a POSIX shell reads as it stands.
  if (/^[A-Za-z]:\\[^"%]*$/.test(word) || /^[^"$`\\!%]*$/.test(word)) return `"${word}"`;
  return `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
