// Makes the bundle and this machine's Node one program, dist/greeter, and prints its size; with --measure,
// also how long it takes from its start to its first answered call: npm run build:exe
// With --platform NAME, once or more, it makes dist/greeter-NAME for others: without a code cache, so
// that anyone who builds the same commit with the same tools gets the same bytes.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { startUpTimes } from '../bench/start_up.mjs';
import { buildExecutable } from './executable.ts';
import { section } from './licences.ts';
import { executableSbom } from './node_sbom.ts';
import { platformHere, platformNamed } from './platforms.ts';

const main = 'dist/greeter.mjs';
/** macOS only runs signed programs, and they are signed there. */
const endings: Readonly<Record<string, string>> = { darwin: '-unsigned', win: '.exe' };
const { values } = parseArgs({
  options: { platform: { type: 'string', multiple: true }, measure: { type: 'boolean' } },
});

if (values.platform) values.platform.forEach(buildFor);
else await buildHere();
writeLicences();
writeSbom();

async function buildHere(): Promise<void> {
  const output = 'dist/greeter';
  const platform = platformNamed(platformHere());
  const size = buildExecutable({ main, platform, output, codeCache: true });
  console.log(`${output}: ${size} bytes; ${versionSaidBy([output])}`);
  if (!values.measure) return;
  const { direct, grpcJs, node } = await startUpTimes([output]);
  const ratio = (ms: number) => `${ms} ms (${(ms / node).toFixed(1)} times node alone)`;
  console.log(`from start to first answered call: ${ratio(direct)}, with grpc-js ${ratio(grpcJs)}`);
}

function buildFor(name: string): void {
  const output = `dist/greeter-${name}${endings[name.split('-')[0] ?? ''] ?? ''}`;
  const size = buildExecutable({ main, platform: platformNamed(name), output, codeCache: false });
  const runner = runnerOf(name);
  const said = runner ? versionSaidBy([...runner, output]) : 'not run, as this machine cannot';
  console.log(`${output}: ${size} bytes; ${said}`);
}

/** The emulator for a platform's programs on this machine, if there is one. */
function runnerOf(name: string): readonly string[] | undefined {
  if (name === platformHere()) return [];
  const emulator = ['qemu-aarch64', '-L', '/usr/aarch64-linux-gnu'];
  const isThere = name === 'linux-arm64' && !spawnSync('qemu-aarch64', ['--version']).error;
  return isThere ? emulator : undefined;
}

/** Throws unless it is the version of the bundle. */
function versionSaidBy([command = '', ...args]: readonly string[]): string {
  const wanted = spawnSync(process.execPath, [main, '--version'], { encoding: 'utf8' });
  const { stdout, stderr } = spawnSync(command, [...args, '--version'], { encoding: 'utf8' });
  if (stdout === wanted.stdout && stdout !== '') return `it says "${stdout.trim()}"`;
  throw new Error(`Cannot run ${command} ${args.join(' ')}: it says "${stdout}${stderr}"`);
}

function writeLicences(): void {
  const { package: name } = platformNamed(platformHere());
  const ofNode = readFileSync(`node_modules/${name}/LICENSE`, 'utf8');
  const ofBundle = readFileSync(`${main}.LEGAL.txt`, 'utf8');
  const node = section([`Node.js ${process.version}, and what it is made of`], ofNode);
  writeFileSync('dist/greeter.LEGAL.txt', `${ofBundle}\n${node}`);
}

function writeSbom(): void {
  const sbom = executableSbom(
    JSON.parse(readFileSync(`${main}.cdx.json`, 'utf8')),
    process.versions,
  );
  writeFileSync('dist/greeter.cdx.json', `${JSON.stringify(sbom, undefined, 2)}\n`);
}
