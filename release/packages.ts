import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Metafile } from 'esbuild';

/** An npm package with code in the bundle. */
export interface Package {
  name: string;
  version: string;
  /** Its SPDX expression. */
  licence: string;
  /** The folder where it is installed. */
  folder: string;
  /** Its files in the bundle. */
  files: readonly string[];
  /** The folders of the packages that these files import. */
  imports: readonly string[];
}

/** The folder of the project's own files. */
export const ourFolder = '.';

/** Every package with code in the bundle, the project included, sorted by folder. */
export function bundledPackages({ inputs, outputs }: Metafile): Package[] {
  const [output] = Object.values(outputs).filter(({ entryPoint }) => entryPoint);
  const bundled = Object.entries(output?.inputs ?? {}).filter(([, part]) => part.bytesInOutput > 0);
  const files = Map.groupBy(
    bundled.map(([file]) => file),
    folderOf,
  );
  return [...files]
    .map(([folder, ofIt]) => {
      const imported = ofIt.flatMap((file) => inputs[file]?.imports ?? []);
      // Node's own modules belong to no package, and nothing imports the project.
      const folders = new Set(imported.map(({ path }) => folderOf(path)));
      const others = [...folders].filter((each) => each !== folder && each !== ourFolder);
      const imports = others.filter((each) => files.has(each)).toSorted();
      return { ...described(folder), folder, files: ofIt, imports };
    })
    .toSorted((a, b) => (a.folder < b.folder ? -1 : 1));
}

/** The innermost package of a file. */
function folderOf(file: string): string {
  return /^.*node_modules\/(@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? ourFolder;
}

function described(folder: string): Pick<Package, 'name' | 'version' | 'licence'> {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  if (![name, version, license].every((each) => typeof each === 'string')) {
    throw new Error(`Cannot name "${folder}": its package.json needs name, version and license`);
  }
  return { name, version, licence: license };
}
