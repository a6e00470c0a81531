// Writes dist/greeter.mjs, the whole program in one file, and beside it the licences and the SBOM of the
// bundled packages. Prints the size and the bytes that a server loads; with --measure, also the time from
// start to the first answered call. Warns if the bundle has grown since the last `node build.mjs --record-sizes`.
import { appendFileSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { startUpTimes } from './bench/start_up.mjs';
import { bundle } from './release/bundle.ts';
import { bundleSizes, growthOf } from './release/bundle_growth.ts';
import { licenceTexts } from './release/licences.ts';
import { bundledPackages } from './release/packages.ts';
import { bundleSbom } from './release/sbom.ts';

const outfile = 'dist/greeter.mjs';
const recordedSizes = 'release/bundle_sizes.json';

const { metafile, commit } = await bundle(outfile);
const packages = bundledPackages(metafile);
appendFileSync(`${outfile}.LEGAL.txt`, `\n${licenceTexts(packages)}`);
const { packages: locked } = JSON.parse(readFileSync('package-lock.json', 'utf8'));
const sbom = bundleSbom({ packages, locked, commit });
writeFileSync(`${outfile}.cdx.json`, `${JSON.stringify(sbom, undefined, 2)}\n`);

const { size } = statSync(outfile);
const direct = loadedBytes('src/main.ts', 'src/cli/serve.ts');
const grpcJs = loadedBytes('src/main.ts', 'src/cli/serve.ts', 'src/transport/grpc_js.ts');
const tracing = loadedBytes(
  'src/main.ts',
  'src/cli/serve.ts',
  'src/observability/trace.ts',
  'src/middleware/trace.ts',
);
console.log(
  `${outfile}: ${size} bytes; serve loads ${direct} of them, with grpc-js ${grpcJs}, with tracing ${tracing}`,
);
if (process.argv.includes('--measure')) {
  const times = await startUpTimes([process.execPath, outfile]);
  console.log(
    `from start to first answered call: ${times.direct} ms, with grpc-js ${times.grpcJs} ms; node alone starts in ${times.node} ms`,
  );
}
const sizes = bundleSizes(metafile);
if (process.argv.includes('--record-sizes')) {
  writeFileSync(recordedSizes, `${JSON.stringify(sizes, undefined, 2)}\n`);
}
const growth = growthOf(sizes, JSON.parse(readFileSync(recordedSizes, 'utf8')));
if (growth) console.warn(`Warning: ${growth}; node build.mjs --record-sizes accepts the new sizes`);

/**
 * The bytes that are loaded with these files. Files that they import() are loaded later.
 *
 * @param {readonly string[]} files
 */
function loadedBytes(...files) {
  const [output] = Object.values(metafile.outputs).filter(({ entryPoint }) => entryPoint);
  const loaded = new Set(files);
  for (const file of loaded) {
    for (const { path, kind } of metafile.inputs[file]?.imports ?? []) {
      if (kind !== 'dynamic-import') loaded.add(path);
    }
  }
  let sum = 0;
  for (const file of loaded) sum += output?.inputs[file]?.bytesInOutput ?? 0;
  return sum;
}
