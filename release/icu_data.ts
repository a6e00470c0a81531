/** What of a program's bytes nobody reads any more. */
export interface Free {
  from: number;
  to: number;
}

/**
 * Takes out of a Node's data of ICU what Node's own build with `--with-intl=small-icu` leaves out:
 * every language but English, and encodings that only TextDecoder would know. In the bytes themselves;
 * returns what that has made free, as what is left moves to the front. Throws where there is no such data.
 * The format: https://unicode-org.github.io/icu/userguide/icu_data/#icu-data-file-formats
 */
export function shrinkIcuData(program: Buffer): Free {
  const contents = contentsIn(program);
  const items = itemsOf(program, contents);
  const last = items.at(-1);
  if (!last) throw new Error('Cannot shrink the data of ICU: it must have items');
  const kept = items.filter(({ name }) => isKept(name));
  // Where a byte may be written before it is read, it is not.
  const bytes = kept.map(({ start, end }) => Buffer.from(program.subarray(start, end)));

  program.writeUInt32LE(kept.length, contents);
  let at = contents + 4 + kept.length * entryBytes;
  for (const [i, { name }] of kept.entries()) {
    program.writeUInt32LE(at - contents, contents + 4 + i * entryBytes);
    at += program.write(`${name}\0`, at, 'latin1');
  }
  for (const [i, item] of bytes.entries()) {
    at = contents + aligned(at - contents);
    program.writeUInt32LE(at - contents, contents + 8 + i * entryBytes);
    at += item.copy(program, at);
  }
  // Where the last one ends is written nowhere: it stays, for nobody.
  return { from: at, to: last.start };
}

/** In the table of contents: where the name is, and where the item. */
const entryBytes = 8;

/** Items begin at multiples of 16. */
function aligned(offset: number): number {
  return Math.ceil(offset / 16) * 16;
}

/** Where the table of contents begins, after the header. */
function contentsIn(program: Buffer): number {
  for (let at = program.indexOf('CmnD'); at !== -1; at = program.indexOf('CmnD', at + 1)) {
    const header = at - 12;
    const isOne = header >= 0 && program.readUInt16LE(header + 2) === 0x27da;
    if (isOne) return header + program.readUInt16LE(header);
  }
  throw new Error('Cannot shrink the data of ICU: the program must have it');
}

/** All items but the last end where the next begins. */
function itemsOf(program: Buffer, contents: number) {
  const count = program.readUInt32LE(contents);
  const items = Array.from({ length: count }, (_, i) => {
    const entry = contents + 4 + i * entryBytes;
    const nameAt = contents + program.readUInt32LE(entry);
    const name = program.toString('latin1', nameAt, program.indexOf(0, nameAt));
    return { name, start: contents + program.readUInt32LE(entry + 4) };
  });
  return items.map((item, i) => ({ ...item, end: items[i + 1]?.start ?? item.start }));
}

/** As tools/icu/icu_small.json in Node's sources has it. */
function isKept(name: string): boolean {
  const [, path = ''] = /^[^/]+\/(.+)$/.exec(name) ?? [];
  if (/^(brkitr|lang|rbnf|region|translit|unit)\//.test(path)) return false;
  if (/\.cnv$|^(cnvalias|unames)\.icu$/.test(path)) return false;
  const [, locale] = /(?:^|\/)([a-z]{2,3}(?:_\w*)?)\.res$/.exec(path) ?? [];
  return locale === undefined || locale === 'en';
}
