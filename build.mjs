// Makes dist/greeter.mjs, the whole program in one file, with the licences of what is in it and a
// list of that beside it. Prints its size, how much of it a server loads, and how long it takes from
// its start to its first answered call; and warns where it has grown since `node build.mjs --record-sizes`
// was last run.
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
const times = await startUpTimes([process.execPath, outfile]);
console.log(
  `${outfile}: ${size} bytes; serve loads ${direct} of them, with grpc-js ${grpcJs}, with tracing ${tracing}`,
);
console.log(
  `from start to first answered call: ${times.direct} ms, with grpc-js ${times.grpcJs} ms; node alone starts in ${times.node} ms`,
);
const sizes = bundleSizes(metafile);
if (process.argv.includes('--record-sizes')) {
  writeFileSync(recordedSizes, `${JSON.stringify(sizes, undefined, 2)}\n`);
}
const growth = growthOf(sizes, JSON.parse(readFileSync(recordedSizes, 'utf8')));
if (growth) console.warn(`Warning: ${growth}; node build.mjs --record-sizes accepts that`);

/**
 * The bytes of what is loaded with these files; what they import() is loaded when it is asked for.
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
