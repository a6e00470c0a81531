import type { Free } from './icu_data.ts';

/**
 * A program of Linux without these of its bytes, as far as they are whole pages. What follows them is
 * loaded where it was, and nothing where they were. The table of segments moves to their beginning, as
 * there is one more; that of sections, which only debuggers read, goes. Throws where the bytes are in no
 * segment.
 * The format: https://refspecs.linuxfoundation.org/elf/gabi4+/ch5.pheader.html
 */
export function withoutBytes(program: Buffer, { from, to }: Free): Buffer {
  const segments = segmentsOf(program);
  const split = segments.findIndex(
    (each) => typeOf(each) === type.load && read(each, at.offset) <= from && to <= endOf(each),
  );
  const before = segments[split];
  if (!before) throw new Error('Cannot cut a program: what goes must be in a segment');

  const table = Math.ceil(from / 8) * 8;
  const [page, start, end] = [read(before, at.align), read(before, at.offset), endOf(before)];
  const tableEnd = table + (segments.length + 1) * headerBytes;
  const cut = { from: Math.ceil(tableEnd / page) * page, to: Math.floor(to / page) * page };
  const after = Buffer.from(before);
  for (const field of [at.offset, at.address, at.physicalAddress]) {
    write(after, field, read(before, field) + cut.to - start);
  }
  for (const field of [at.fileSize, at.memorySize]) {
    write(before, field, cut.from - start);
    write(after, field, end - cut.to);
  }
  for (const each of segments) moveUp(each, cut);
  moveUp(after, cut);
  segments.splice(split + 1, 0, after);
  describeTable(segments, { table, before });
  writeHeaders(program, { segments, table });
  return Buffer.concat([program.subarray(0, cut.from), program.subarray(cut.to)]);
}

const headerBytes = 56;
/** Where a segment's header has what. */
const at = { offset: 8, address: 16, physicalAddress: 24, fileSize: 32, memorySize: 40, align: 48 };
const type = { load: 1, headers: 6 };
/** Where the file's header has what. */
const file = { segments: 32, sections: 40, segmentCount: 56, sectionCount: 60, sectionNames: 62 };

function segmentsOf(program: Buffer): Buffer[] {
  const table = read(program, file.segments);
  return Array.from({ length: program.readUInt16LE(file.segmentCount) }, (_, i) =>
    Buffer.from(program.subarray(table + i * headerBytes, table + (i + 1) * headerBytes)),
  );
}

/** What comes after the cut is nearer to the beginning of the file. */
function moveUp(segment: Buffer, cut: Free): void {
  const offset = read(segment, at.offset);
  if (offset >= cut.to) write(segment, at.offset, offset - (cut.to - cut.from));
}

/**
 * The entry of the table itself. Linux before 5.18, and emulators, look for it as far from the first
 * segment in memory as it is in the file: https://bugzilla.kernel.org/show_bug.cgi?id=197921
 */
function describeTable(
  segments: readonly Buffer[],
  { table, before }: { table: number; before: Buffer },
): void {
  const [first = before] = segments.filter((each) => typeOf(each) === type.load);
  const shift = read(before, at.address) - read(before, at.offset);
  if (read(first, at.offset) !== 0 || read(first, at.address) !== shift) {
    throw new Error('Cannot cut a program: its first segments must be as far apart as in the file');
  }
  const own = segments.find((each) => typeOf(each) === type.headers);
  if (!own) return;
  write(own, at.offset, table);
  for (const field of [at.address, at.physicalAddress]) write(own, field, table + shift);
  for (const field of [at.fileSize, at.memorySize]) {
    write(own, field, segments.length * headerBytes);
  }
}

function writeHeaders(
  program: Buffer,
  { segments, table }: { segments: readonly Buffer[]; table: number },
): void {
  Buffer.concat(segments).copy(program, table);
  write(program, file.segments, table);
  program.writeUInt16LE(segments.length, file.segmentCount);
  write(program, file.sections, 0);
  program.writeUInt16LE(0, file.sectionCount);
  program.writeUInt16LE(0, file.sectionNames);
}

function typeOf(segment: Buffer): number {
  return segment.readUInt32LE(0);
}

/** Where in the file it ends. */
function endOf(segment: Buffer): number {
  return read(segment, at.offset) + read(segment, at.fileSize);
}

function read(bytes: Buffer, field: number): number {
  return Number(bytes.readBigUInt64LE(field));
}

function write(bytes: Buffer, field: number, value: number): void {
  bytes.writeBigUInt64LE(BigInt(value), field);
}
