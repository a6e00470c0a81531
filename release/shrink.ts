import { readFileSync, writeFileSync } from 'node:fs';
import { withoutBytes } from './elf.ts';
import { shrinkIcuData } from './icu_data.ts';

/**
 * Takes the languages that greeter does not speak out of a program of Linux that is, or has in it, a
 * Node: 30 MB. Throws where it is none.
 */
export function shrink(file: string): void {
  const program = readFileSync(file);
  const free = shrinkIcuData(program);
  writeFileSync(file, withoutBytes(program, free));
}
