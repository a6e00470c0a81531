import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { build, type BuildOptions, type Metafile, type Plugin, type PluginBuild } from 'esbuild';
import packageJson from '../package.json' with { type: 'json' };

/** What the bundle is made of. */
export interface Bundle {
  metafile: Metafile;
  /** The commit stamped into it; empty where nobody knows it. */
  commit: string;
}

/**
 * Makes the whole program in one ES module, with its source map; the same bytes from the same sources.
 * `services` is the path of a module that takes the place of src/services.ts, for a program that serves more.
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

/** Runs before all else of the file, where Node can read it. */
const refuseOldNode = `if (parseInt(process.versions.node) < ${oldestNode}) {
  console.error('Cannot run on Node ' + process.versions.node + ': must be ${oldestNode} or newer; \`npm start\` has the right one, and the executable needs none');
  process.exit(1);
}`;

const options = {
  entryPoints: ['src/main.ts'],
  bundle: true,
  platform: 'node',
  format: 'esm',
  // The ES modules of packages that have both: what is not used of them stays out.
  mainFields: ['module', 'main'],
  target: 'node26',
  // So that a Node that is too old reads the file, and can say so.
  supported: { using: false },
  sourcemap: true,
  metafile: true,
  // release/licences.ts adds what the packages say beside their sources.
  legalComments: 'linked',
  plugins: [{ name: 'late-builtins', setup: loadBuiltinsLate }],
  // grpc-js and pino are CommonJS and call require() for Node's own modules.
  banner: {
    js: `#!/usr/bin/env node
import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);
${refuseOldNode}`,
  },
} as const satisfies BuildOptions;

/** The commit of this checkout, or what COMMIT says; empty where there is neither. */
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
 * An import of one of Node's modules moves to the top of the file, and is loaded with it. OpenTelemetry
 * imports zlib, which servers without tracing can do without: it becomes a require() in its place.
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
