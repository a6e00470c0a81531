import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Package } from './packages.ts';

/**
 * The licence texts of all packages, without duplicates. For a package without one, the copyright comments of its
 * bundled files; throws if there are none.
 */
export function licenceTexts(packages: readonly Package[]): string {
  const owners = Map.groupBy(packages, textOf);
  const parts = [...owners].map(([text, sharing]) => {
    const names = sharing.map(({ name, version, licence }) => `${name} ${version} (${licence})`);
    return section(names, text);
  });
  return parts.join('\n');
}

/** A licence with the names of what it covers. */
export function section(names: readonly string[], text: string): string {
  return `${'='.repeat(80)}\n${names.join('\n')}\n${'='.repeat(80)}\n\n${text.trim()}\n`;
}

function textOf(pack: Package): string {
  const names = readdirSync(pack.folder).filter((file) => /^(licen[cs]e|notice)/i.test(file));
  const texts = names.toSorted().map((name) => readFileSync(join(pack.folder, name), 'utf8'));
  const text = texts.length > 0 ? texts.join('\n') : headersOf(pack).join('\n\n');
  if (text !== '') return text.replaceAll('\r\n', '\n');
  throw new Error(`Cannot ship "${pack.name}": neither it nor its files say their licence`);
}

function headersOf({ files }: Package): string[] {
  const headers = files.map((file) => /^(\/\/.*\n)+/.exec(readFileSync(file, 'utf8'))?.[0] ?? '');
  const legal = headers.filter((header) => header.includes('Copyright'));
  return [...new Set(legal.map((header) => header.replaceAll(/^\/\/ ?/gm, '').trim()))];
}
