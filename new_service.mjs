// Writes a new service: npm run new:service todo.v1.TodoService
// It writes the proto, the implementation, a test, the line in src/services.ts, the row in the README's
// table of services if there is one, and the generated files.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

const list = 'src/services.ts';
const readme = 'README.md';

const names = namesOf(process.argv.slice(2));
if (typeof names === 'string') {
  console.error(`Cannot write this service: ${names}`);
  process.exitCode = 2;
} else write(names);

/** @typedef {{ package: string, service: string, noun: string, file: string, method: string }} Names */

/**
 * The names for an argument, or the reason why it is invalid.
 *
 * @param {readonly string[]} args
 * @returns {Names | string}
 */
function namesOf([name = '', ...more]) {
  const [, pkg = '', service = '', noun = ''] =
    /^((?:[a-z][a-z0-9_]*\.)+v[1-9]\d*(?:(?:alpha|beta)[1-9]\d*)?)\.(((?:[A-Z][a-z0-9]+)+)Service)$/.exec(
      name,
    ) ?? [];
  if (more.length > 0 || !pkg) {
    return `"${[name, ...more].join(' ')}" must be PACKAGE.VERSION.NAMEService, such as todo.v1.TodoService`;
  }
  const file = noun.replaceAll(/(?<!^)[A-Z]/g, '_$&').toLowerCase();
  const names = { package: pkg, service, noun, file, method: `get${noun}` };
  const taken = Object.keys(filesOf(names)).filter((path) => existsSync(path));
  if (readFileSync(list, 'utf8').includes(`${service}Definition`)) taken.push(list);
  return taken.length > 0 ? `"${name}" has to be new, and is in ${taken.join(', ')}` : names;
}

/** @param {Names} names */
function write(names) {
  const files = filesOf(names);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
  writeFileSync(list, withLine(readFileSync(list, 'utf8'), names));
  const before = existsSync(readme) ? readFileSync(readme, 'utf8') : '';
  const after = withRow(before, names);
  if (after !== before) writeFileSync(readme, after);
  execFileSync('npm', ['run', '--silent', 'generate'], { stdio: 'inherit' });
  execFileSync('oxfmt', [...Object.keys(files), list, readme], { stdio: 'inherit' });
  const lines = after === before ? `its line in ${list}` : `its lines in ${list} and ${readme}`;
  console.log(`Wrote ${Object.keys(files).join(', ')}, its types in src/gen, and ${lines}`);
}

/** @param {Names} names */
function protoOf({ package: pkg, file }) {
  return `${pkg.replaceAll('.', '/')}/${file}.proto`;
}

/**
 * The contents of the files of a service, by path.
 *
 * @param {Names} names
 * @returns {Record<string, string>}
 */
function filesOf(names) {
  const { package: pkg, service, noun, file, method } = names;
  const generated = `../gen/${protoOf(names).replace(/proto$/, 'ts')}`;
  return {
    [`proto/${protoOf(names)}`]: `syntax = "proto3";

package ${pkg};

option go_package = "example.com/greeter/${pkg.replaceAll('.', '/')};${pkg.replaceAll('.', '')}";

// ${service} has one method to begin with.
service ${service} {
  // Returns the requested name.
  rpc Get${noun}(Get${noun}Request) returns (Get${noun}Response);
}

// Request of Get${noun}.
message Get${noun}Request {
  string name = 1;
}

// Response of Get${noun}.
message Get${noun}Response {
  string name = 1;
}
`,
    [`src/services/${file}.ts`]: `import type { Call } from '../context.ts';
import type { ${service}Implementation } from '${generated}';

/** Implements ${pkg}.${service}. */
export function create${noun}(): ${service}Implementation<Call> {
  return {
    async ${method}({ name }) {
      return { name };
    },
  };
}
`,
    [`src/services/${file}.test.ts`]: `import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient } from 'nice-grpc';
import { serve } from '../../test/support/harness.ts';
import { ${service}Definition } from '${generated}';

test('${method}() returns the requested name', async () => {
  await using running = await serve();
  const client = createClient(${service}Definition, running.channel);

  assert.deepEqual(await client.${method}({ name: 'x' }), { name: 'x' });
});
`,
  };
}

/**
 * The list of services with the new one first.
 *
 * @param {string} text
 * @param {Names} names
 */
function withLine(text, names) {
  const { service, noun, file } = names;
  const generated = protoOf(names).replace(/proto$/, 'ts');
  const begins = 'const all = [\n';
  if (!text.includes(begins)) throw new Error(`Cannot find "${begins.trim()}" in ${list}`);
  const imports = [
    `import { ${service}Definition } from './gen/${generated}';\n`,
    `import { create${noun} } from './services/${file}.ts';\n`,
  ];
  const line = `  service({ definition: ${service}Definition, implementation: create${noun} }),\n`;
  return imports.join('') + text.replace(begins, () => begins + line);
}

/**
 * The README with a row for the service before the other rows.
 *
 * @param {string} text
 * @param {Names} names
 */
function withRow(text, { package: pkg, service, noun }) {
  const row = `| \`${pkg}.${service}\` | \`Get${noun}\` | the requested name |\n`;
  return text.replace(/^\| service .*\n\|[ |-]+\n/m, (head) => head + row);
}
