import { readFileSync } from 'node:fs';

/** A platform for executables, with the npm package of its Node in the lockfile. */
export interface Platform {
  /** For example `linux-x64`. */
  name: string;
  package: string;
  version: string;
  /** The integrity of the package's archive: `sha512-` and base64. */
  integrity: string;
  /** The path of Node in the package. */
  bin: string;
}

/** The platform with that name; throws if there is none, or if its Node has another version than the running one. */
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

/** The name of the current platform. */
export function platformHere(): string {
  return `${process.platform.replace('win32', 'win')}-${process.arch}`;
}

/** The platforms whose Node package.json installs. */
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
