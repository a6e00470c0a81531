import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { build, type BuildOptions, type Metafile, type Plugin, type PluginBuild } from 'esbuild';
import packageJson from '../package.json' with { type: 'json' };

/** The contents of the bundle. */
export interface Bundle {
  metafile: Metafile;
  /** The git commit stamped into it; empty if unknown. */
  commit: string;
}

/**
 * Bundles the program into one ES module with a source map. The output is reproducible. `services` is the path of a
 * module that replaces src/services.ts, for a program with other services.
 */
export async function bundle(
  outfile: string,
  { services }: { services?: string } = {},
): Promise<Bundle> {
  const commit = commitHere();
  const { metafile } = await build({
    ...options,
    plugins: services === undefined ? options.plugins : [...options.plugins, serving(services)],
    outfile,
    define: { builtFromCommit: JSON.stringify(commit) },
  });
  return { metafile, commit };
}

const oldestNode = packageJson.engines.node.replace('>=', '');

/** Runs before everything else in the file, if Node can parse it. */
const refuseOldNode = `if (parseInt(process.versions.node) < ${oldestNode}) {
  console.error('Cannot run on Node ' + process.versions.node + ': must be ${oldestNode} or newer; \`npm start\` has the right one, and the executable needs none');
  process.exit(1);
}`;

const options = {
  entryPoints: ['src/main.ts'],
  bundle: true,
  platform: 'node',
  format: 'esm',
  // Prefers ES modules of packages that have both, for tree shaking.
  mainFields: ['module', 'main'],
  target: 'node26',
  // Lets an old Node parse the file, so that it can print the error.
  supported: { using: false },
  sourcemap: true,
  metafile: true,
  // release/licences.ts adds the licence files of packages.
  legalComments: 'linked',
  plugins: [{ name: 'late-builtins', setup: loadBuiltinsLate }],
  // grpc-js and pino are CommonJS and call require() for Node's own modules.
  banner: {
    js: `#!/usr/bin/env node
import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);
${refuseOldNode}`,
  },
} as const satisfies BuildOptions;

/** The commit of this checkout, or COMMIT; empty if there is neither. */
function commitHere(): string {
  if (process.env['COMMIT'] !== undefined) return process.env['COMMIT'];
  const describe = ['describe', '--always', '--dirty', '--abbrev=40', '--exclude=*'];
  const { status, stdout } = spawnSync('git', describe, { encoding: 'utf8' });
  return status === 0 ? stdout.trim() : '';
}

/** Has src/app.ts load its services from this module. */
function serving(services: string): Plugin {
  const app = resolve('src/app.ts');
  return {
    name: 'services',
    setup(build) {
      build.onResolve({ filter: /^\.\/services\.ts$/ }, ({ importer }) =>
        importer === app ? { path: resolve(services) } : undefined,
      );
    },
  };
}

/**
 * Imports of Node's modules are hoisted and loaded at once. OpenTelemetry imports zlib, which servers without tracing
 * do not need: it becomes a require() where it is used.
 */
function loadBuiltinsLate(build: PluginBuild): void {
  build.onResolve({ filter: /^(zlib|stream)$/ }, ({ path, importer, kind }) =>
    kind === 'import-statement' && importer.includes('@opentelemetry')
      ? { path, namespace: 'late' }
      : undefined,
  );
  build.onLoad({ filter: /./, namespace: 'late' }, ({ path }) => ({
    contents: `module.exports = require('node:${path}');`,
  }));
}
