// Makes dist/greeter.mjs, the whole program in one file, and prints its size, how much of it a
// server loads, and how long it takes from its start to its first answered call.
import { spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { build } from 'esbuild';
import { startUpTimes } from './bench/start_up.mjs';

const outfile = 'dist/greeter.mjs';
/** The build fails above it: raise it knowingly, or find out what has come in. */
const maxBytes = 2_300_000;

const { metafile } = await build({
  entryPoints: ['src/main.ts'],
  outfile,
  bundle: true,
  platform: 'node',
  format: 'esm',
  // The ES modules of packages that have both: what is not used of them stays out.
  mainFields: ['module', 'main'],
  target: 'node26',
  sourcemap: true,
  metafile: true,
  legalComments: 'linked',
  define: { builtFromCommit: JSON.stringify(commit()) },
  plugins: [{ name: 'late-builtins', setup: loadBuiltinsLate }],
  // grpc-js and pino are CommonJS and call require() for Node's own modules.
  banner: {
    js: `#!/usr/bin/env node
import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);`,
  },
});

const { size } = statSync(outfile);
const direct = loadedBytes('src/main.ts', 'src/cli/serve.ts');
const grpcJs = loadedBytes('src/main.ts', 'src/cli/serve.ts', 'src/transport/grpc_js.ts');
const tracing = loadedBytes(
  'src/main.ts',
  'src/cli/serve.ts',
  'src/observability/trace.ts',
  'src/middleware/trace.ts',
);
const times = await startUpTimes(outfile);
console.log(
  `${outfile}: ${size} bytes; serve loads ${direct} of them, with grpc-js ${grpcJs}, with tracing ${tracing}`,
);
console.log(
  `from start to first answered call: ${times.direct} ms, with grpc-js ${times.grpcJs} ms; node alone starts in ${times.node} ms`,
);
if (size > maxBytes) throw new Error(`Cannot ship ${outfile}: at most ${maxBytes} bytes`);

/** The commit of this checkout, or what COMMIT says; empty where there is neither. */
function commit() {
  if (process.env['COMMIT'] !== undefined) return process.env['COMMIT'];
  const describe = ['describe', '--always', '--dirty', '--abbrev=40', '--exclude=*'];
  const { status, stdout } = spawnSync('git', describe, { encoding: 'utf8' });
  return status === 0 ? stdout.trim() : '';
}

/**
 * An import of one of Node's modules moves to the top of the file, and is loaded with it. OpenTelemetry
 * imports zlib, which servers without tracing can do without: it becomes a require() in its place.
 *
 * @param {import('esbuild').PluginBuild} build
 */
function loadBuiltinsLate(build) {
  build.onResolve({ filter: /^(zlib|stream)$/ }, ({ path, importer, kind }) =>
    kind === 'import-statement' && importer.includes('@opentelemetry')
      ? { path, namespace: 'late' }
      : undefined,
  );
  build.onLoad({ filter: /./, namespace: 'late' }, ({ path }) => ({
    contents: `module.exports = require('node:${path}');`,
  }));
}

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
