import { readFileSync } from 'node:fs';

/** What an executable can be made for, and the npm package with its Node, as the lockfile has it. */
export interface Platform {
  /** Such as `linux-x64`. */
  name: string;
  package: string;
  version: string;
  /** Of the package's archive: `sha512-` and base64. */
  integrity: string;
  /** Where Node is in the package. */
  bin: string;
}

/** The platform of that name; throws where there is none, or its Node is not the one that runs this. */
export function platformNamed(name: string): Platform {
  const all = platforms();
  const found = all.find((each) => each.name === name);
  if (found && process.version !== `v${found.version}`) {
    throw new Error(`Cannot build with Node ${process.version}: must be v${found.version}`);
  }
  if (found) return found;
  const names = all.map((each) => each.name).join(', ');
  throw new Error(`Cannot build for "${name}": must be one of ${names}`);
}

/** The name of the platform that this runs on. */
export function platformHere(): string {
  return `${process.platform.replace('win32', 'win')}-${process.arch}`;
}

/** Those that package.json brings a Node for. */
function platforms(): Platform[] {
  const { optionalDependencies } = JSON.parse(readFileSync('package.json', 'utf8'));
  const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8'));
  return Object.keys(optionalDependencies).map((name) => {
    const { version, integrity, bin } = packages[`node_modules/${name}`];
    return {
      name: name.replace(/^node-(bin-)?/, ''),
      package: name,
      version,
      integrity,
      bin: bin.node,
    };
  });
}
