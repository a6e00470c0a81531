/** Quotes a word for a POSIX shell if necessary, and so that cmd.exe accepts it if possible. */
export function shellWord(word: string): string {
  if (/^[\w%+,./:=@-]+$/.test(word)) return word;
  // Valid in cmd.exe, and unchanged by a POSIX shell.
  if (/^[A-Za-z]:\\[^"%]*$/.test(word) || /^[^"$`\\!%]*$/.test(word)) return `"${word}"`;
  return `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
