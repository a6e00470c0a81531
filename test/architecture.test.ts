import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';

const src = join(import.meta.dirname, '../src');

/** The folders that each folder may import, besides itself. */
const mayImport: Record<string, readonly string[]> = {
  main: ['cli', 'config', 'guides', 'lifecycle', 'printable'],
  cli: ['app', 'config', 'lifecycle', 'transport', 'gen', 'message_of', 'nearest'],
  app: [
    'address',
    'config',
    'faults',
    'gen',
    'lifecycle',
    'middleware',
    'observability',
    'services',
    'transport',
  ],
  transport: [
    'address',
    'certificates',
    'context',
    'engine',
    'gen',
    'message_of',
    'middleware',
    'nearest',
    'observability',
    'rich_error',
    'services',
    'web',
  ],
  // Connect, gRPC-Web and JSON; loaded with the first such request.
  web: ['engine', 'gen'],
  engine: [],
  middleware: ['context', 'engine', 'errors', 'observability', 'printable', 'rich_error'],
  // Loaded, apart from the middleware's entry, with the first fault.
  faults: ['config', 'context', 'engine', 'errors', 'message_of', 'rich_error'],
  services: ['context', 'engine', 'errors', 'gen', 'guides', 'interop'],
  // Folders that can be deleted: services with their settings, and the commands that call them.
  guides: ['cli', 'config', 'context', 'errors', 'gen', 'message_of', 'services', 'transport'],
  interop: ['config', 'context', 'engine', 'errors', 'gen', 'services'],
  observability: ['certificates', 'engine', 'printable'],
  lifecycle: ['observability'],
  // What tracing takes is declared where spans are made.
  config: [
    'address',
    'certificates',
    'faults',
    'guides',
    'interop',
    'message_of',
    'nearest',
    'observability',
  ],
  errors: ['rich_error'],
  rich_error: ['gen'],
  context: ['engine'],
  certificates: ['message_of'],
  address: [],
  message_of: [],
  nearest: [],
  printable: [],
  gen: [],
};

/** The same for the folders of the engine. Other code may import only its top-level files, "shared". */
const engineMayImport: Record<string, readonly string[]> = {
  shared: ['http2', 'net', 'grpc'],
  http2: ['shared'],
  net: ['shared', 'http2'],
  grpc: ['shared', 'http2', 'net'],
};

const files = globSync('**/*.ts', { cwd: src });
const ours = files.filter((file) => !file.startsWith('gen/') && !file.endsWith('.test.ts'));

test('every file belongs to a known folder', () => {
  assert.deepEqual(
    [...new Set(files.map(folderOf))].filter((folder) => !(folder in mayImport)),
    [],
  );
});

test('every folder imports only the folders it may', () => {
  const strays = ours.flatMap((file) => {
    const allowed = [folderOf(file), ...(mayImport[folderOf(file)] ?? [])];
    return importsOf(file)
      .filter((target) => !allowed.includes(folderOf(target)))
      .map((target) => `${file} -> ${target}`);
  });
  assert.deepEqual(strays, []);
});

test('every folder of the engine imports only those it may, and other code only the shared files', () => {
  const strays = ours.flatMap((file) => {
    const from = engineFolderOf(file);
    const allowed = from === undefined ? ['shared'] : [from, ...(engineMayImport[from] ?? [])];
    const isStray = (folder: string | undefined) =>
      folder !== undefined && !allowed.includes(folder);
    return importsOf(file)
      .filter((target) => isStray(engineFolderOf(target)))
      .map((target) => `${file} -> ${target}`);
  });
  assert.deepEqual(strays, []);
});

test('the transport does not import services, except for their type', () => {
  const strays = ours
    .filter((file) => folderOf(file) === 'transport')
    .flatMap((file) => importsOf(file).map((target) => `${file} -> ${target}`))
    .filter((line) => line.includes('-> services') && !line.endsWith('-> services/service.ts'));
  assert.deepEqual(strays, []);
});

test('no file imports itself indirectly, types included', () => {
  const cycles = ours.flatMap((file) => {
    const cycle = cycleThrough(file);
    return cycle ? [cycle.join(' -> ')] : [];
  });
  assert.deepEqual(cycles, []);
});

test('only main.ts and lifecycle.ts touch the process', () => {
  const touching = ours.filter((file) =>
    /\bprocess\.(env|argv|exit|on|once|cwd|kill|std\w+)\b/.test(read(file)),
  );
  assert.deepEqual(touching.toSorted(), ['lifecycle.ts', 'main.ts']);
});

test('only transport/engine.ts knows which server is behind the services', () => {
  const knowing = ours.filter((file) =>
    /^import [^;]*\bcreateServer\b[^;]*'(?:nice-grpc|.*engine.*\.ts)'/m.test(read(file)),
  );
  assert.deepEqual(knowing.toSorted(), ['transport/engine.ts', 'transport/grpc_js.ts']);
});

test('a start with the direct engine loads no grpc-js, OpenTelemetry, admin port, web or optional service', () => {
  const loaded = new Set<string>();
  const load = (file: string) => {
    if (loaded.has(file)) return;
    loaded.add(file);
    staticImportsOf(file).forEach(load);
  };
  ['main.ts', 'cli/serve.ts'].forEach(load);

  const late = 'nice-grpc|@connectrpc/.*|@grpc/grpc-js|@opentelemetry/.*|node:https?|prom-client';
  const loading = new RegExp(`^import (?!type)[^;]*'(?:${late})'`, 'm');
  assert.ok(loaded.has('engine/grpc/server.ts'));
  assert.ok(loaded.has('services.ts'));
  assert.deepEqual(
    [...loaded].filter((file) => /^web\/|inner_call|net\/http1\.ts|descriptor/.test(file)),
    [],
  );
  assert.ok(!loaded.has('services/interop/services.ts') && !loaded.has('services/orca.ts'));
  assert.deepEqual(
    [...loaded].filter((file) => loading.test(read(file))),
    [],
  );
});

test('no file has more than 550 lines', () => {
  const long = ours.filter((file) => read(file).split('\n').length - 1 > 550);
  assert.deepEqual(long, []);
});

/** The files in src that a file imports, as paths. */
function importsOf(file: string): string[] {
  return [...read(file).matchAll(/(?:from|import)\s*\(?\s*["'](\.[^"']+\.ts)["']/g)].map(
    ([, path = '']) => relative(src, join(src, dirname(file), path)),
  );
}

/** The files that are loaded with the file, without type imports. */
function staticImportsOf(file: string): string[] {
  const statements = read(file).matchAll(
    /^(?:import|export) (?!type)(?:[^;]*? from )?["'](\.[^"']+\.ts)["']/gm,
  );
  return [...statements].map(([, path = '']) => relative(src, join(src, dirname(file), path)));
}

/** The folder of a file in the engine. */
function engineFolderOf(file: string): string | undefined {
  const [folder, inner, ...more] = file.split('/');
  if (folder !== 'engine') return undefined;
  return more.length === 0 ? 'shared' : inner;
}

/** The shortest import cycle through a file. */
function cycleThrough(file: string): string[] | undefined {
  const paths = [[file]];
  const seen = new Set<string>();
  for (const path of paths) {
    for (const target of importsOf(path.at(-1) ?? '')) {
      if (target === file) return [...path, file];
      if (seen.has(target)) continue;
      seen.add(target);
      paths.push([...path, target]);
    }
  }
  return undefined;
}

function folderOf(file: string): string {
  const [, deletable] = /^services\/(guides|interop)\//.exec(file) ?? [];
  return deletable ?? file.split(/[/.]/)[0] ?? '';
}

function read(file: string): string {
  return readFileSync(join(src, file), 'utf8');
}
