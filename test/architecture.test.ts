import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';

const src = join(import.meta.dirname, '../src');

/** Who may import whom. A room sees only the rooms named here (and itself). */
const mayImport: Record<string, readonly string[]> = {
  main: ['cli', 'config', 'lifecycle', 'printable'],
  cli: ['app', 'config', 'lifecycle', 'transport', 'gen', 'message_of'],
  app: ['config', 'gen', 'lifecycle', 'middleware', 'observability', 'services', 'transport'],
  transport: [
    'certificates',
    'context',
    'gen',
    'grpc',
    'message_of',
    'middleware',
    'observability',
    'places',
    'thrown',
  ],
  grpc: ['http2', 'context', 'bag', 'callers_fault', 'places', 'printable', 'rich_error', 'thrown'],
  middleware: [
    'context',
    'errors',
    'observability',
    'bag',
    'callers_fault',
    'printable',
    'rich_error',
    'thrown',
  ],
  services: ['context', 'errors', 'gen', 'time_left', 'callers_fault'],
  http2: ['places'],
  observability: ['printable', 'thrown'],
  lifecycle: ['observability'],
  config: ['certificates', 'message_of'],
  errors: ['rich_error'],
  rich_error: ['gen'],
  callers_fault: [],
  context: [],
  time_left: ['context'],
  bag: [],
  places: ['bag'],
  certificates: ['message_of'],
  message_of: [],
  thrown: [],
  printable: [],
  gen: [],
};

const files = globSync('**/*.ts', { cwd: src });
const ours = files.filter((file) => !file.startsWith('gen/') && !file.endsWith('.test.ts'));

test('every file belongs to a room of the table', () => {
  assert.deepEqual(
    [...new Set(files.map(roomOf))].filter((room) => !(room in mayImport)),
    [],
  );
});

test('every room imports only the rooms it may see', () => {
  const strays = ours.flatMap((file) => {
    const allowed = [roomOf(file), ...(mayImport[roomOf(file)] ?? [])];
    return importsOf(file)
      .filter((target) => !allowed.includes(roomOf(target)))
      .map((target) => `${file} -> ${target}`);
  });
  assert.deepEqual(strays, []);
});

test('only main.ts and lifecycle.ts touch the process', () => {
  const touching = ours.filter((file) =>
    /\bprocess\.(env|argv|exit|on|once|cwd|kill|std\w+)\b/.test(read(file)),
  );
  assert.deepEqual(touching.toSorted(), ['lifecycle.ts', 'main.ts']);
});

test('only transport/engine.ts knows which server is behind the services', () => {
  const knowing = ours.filter((file) =>
    /\bcreateServer\b.*'(?:nice-grpc|.*grpc.*\.ts)'/.test(read(file)),
  );
  assert.deepEqual(knowing.toSorted(), ['transport/engine.ts', 'transport/grpc_js.ts']);
});

test('what a start with the direct engine loads is no grpc-js, OpenTelemetry or admin port', () => {
  const loaded = new Set<string>();
  const load = (file: string) => {
    if (loaded.has(file)) return;
    loaded.add(file);
    staticImportsOf(file).forEach(load);
  };
  ['main.ts', 'cli/serve.ts'].forEach(load);

  const late = 'nice-grpc|@grpc/grpc-js|@opentelemetry/.*|node:https?|prom-client';
  const loading = new RegExp(`^import (?!type)[^;]*'(?:${late})'`, 'm');
  assert.ok(loaded.has('grpc/server.ts'));
  assert.deepEqual(
    [...loaded].filter((file) => loading.test(read(file))),
    [],
  );
});

test('no file is so long that it must hold several ideas: at most 400 lines', () => {
  const long = ours.filter((file) => read(file).split('\n').length - 1 > 400);
  assert.deepEqual(long, []);
});

/** The files of ours that a file imports, as paths in src. */
function importsOf(file: string): string[] {
  return [...read(file).matchAll(/(?:from|import)\s*\(?\s*["'](\.[^"']+\.ts)["']/g)].map(
    ([, path = '']) => relative(src, join(src, dirname(file), path)),
  );
}

/** Those that are loaded with the file itself, and are not types alone. */
function staticImportsOf(file: string): string[] {
  const statements = read(file).matchAll(/^import (?!type)[^;]*?["'](\.[^"']+\.ts)["']/gm);
  return [...statements].map(([, path = '']) => relative(src, join(src, dirname(file), path)));
}

function roomOf(file: string): string {
  return file.split(/[/.]/)[0] ?? '';
}

function read(file: string): string {
  return readFileSync(join(src, file), 'utf8');
}
