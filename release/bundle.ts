import { spawnSync } from 'node:child_process';
import { dirname, resolve } from 'node:path';
import { build, type BuildOptions, type Metafile, type Plugin, type PluginBuild } from 'esbuild';
import packageJson from '../package.json' with { type: 'json' };

/** The contents of the bundle. */
export interface Bundle {
  metafile: Metafile;
  /** The git commit stamped into it; empty if unknown. */
  commit: string;
}

/**
 * Bundles the program into one ES module with a source map. The output is reproducible. `replacements` are modules that
 * replace source files, such as src/services.ts for a program with other services; they may import these files.
 */
export async function bundle(
  outfile: string,
  { replacements = {} }: { replacements?: Readonly<Record<string, string>> } = {},
): Promise<Bundle> {
  const commit = commitHere();
  const { metafile } = await build({
    ...options,
    plugins: [...options.plugins, replacing(replacements)],
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

/** Replaces source files, except in the modules that replace them. */
function replacing(replacements: Readonly<Record<string, string>>): Plugin {
  const paths = new Map(
    Object.entries(replacements).map(([file, other]) => [resolve(file), resolve(other)]),
  );
  return {
    name: 'replacements',
    setup(build) {
      build.onResolve({ filter: /^\..*\.ts$/ }, ({ path, importer }) => {
        const other = paths.get(resolve(dirname(importer), path));
        return other === undefined || other === importer ? undefined : { path: other };
      });
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
