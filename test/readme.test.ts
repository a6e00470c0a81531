import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { settingRows } from '../src/config.ts';
import { serviceNames } from './support/harness.ts';
import { copyOfProject, projectRoot as root } from './support/project_copy.ts';

const readme = readFileSync(join(root, 'README.md'), 'utf8');

test('docs/settings.md has every setting with its variable, default and help', () => {
  const page = readFileSync(join(root, 'docs/settings.md'), 'utf8');
  const table = page.split('<!-- settings')[1]?.split('<!-- /settings')[0] ?? '';
  const cells = table.split('\n').map((line) => line.split('|').map((cell) => cell.trim()));
  const rows = cells.filter(([, flag]) => flag?.startsWith('`--')).map((row) => row.slice(1, -1));

  assert.deepEqual(
    rows,
    settingRows().map(({ name, env, fallback, help }) => [
      `\`--${name}\``,
      `\`${env}\``,
      `\`${fallback}\``,
      help,
    ]),
  );
});

test('the README has the defaults of the settings that it names', () => {
  const section = readme.split('\n## Settings\n')[1]?.split('\n## ')[0] ?? '';
  const rows = section.split('\n').filter((line) => line.startsWith('| `--'));
  const told = rows.flatMap((row) => {
    const [, flags = '', defaults = ''] = row.split('|');
    const values = defaults.replaceAll(/[`,]/g, ' ').trim().split(/\s+/);
    return flags
      .trim()
      .split(' ')
      .map((flag, at) => [flag.replaceAll('`', ''), values[at] ?? values[0]]);
  });

  const fallbacks = new Map(settingRows().map(({ name, fallback }) => [`--${name}`, fallback]));
  assert.ok(told.length >= 8);
  assert.deepEqual(
    told,
    told.map(([flag = '']) => [flag, fallbacks.get(flag)?.replaceAll(',', ' ').split(' ')[0]]),
  );
});

test('docs/README.md links to every page', () => {
  const index = readFileSync(join(root, 'docs/README.md'), 'utf8');
  const pages = globSync('*.md', { cwd: join(root, 'docs') }).filter(
    (page) => page !== 'README.md',
  );

  assert.deepEqual(
    pages.filter((page) => !index.includes(`](${page})`)),
    [],
  );
});

test('links in README and docs lead to existing files and headings', () => {
  const pages = ['README.md', 'CONTRIBUTING.md', 'src/engine/README.md'].concat(
    globSync('docs/*.md', { cwd: root }),
  );
  const broken = pages.flatMap((page) => {
    const links = readFileSync(join(root, page), 'utf8').matchAll(/\]\((?!https?:)([^)\s]+)\)/g);
    return [...links].flatMap(([, link = '']) => {
      const [path = '', heading] = link.split('#');
      const file = path === '' ? page : join(page, '..', path);
      if (!existsSync(join(root, file))) return [`${page}: ${link}`];
      if (heading === undefined) return [];
      const headings = readFileSync(join(root, file), 'utf8').match(/(?<=^#+ ).+$/gm) ?? [];
      const anchors = headings.map((text) =>
        text
          .toLowerCase()
          .replaceAll(/[^\w\- ]/g, '')
          .replaceAll(' ', '-'),
      );
      return anchors.includes(heading) ? [] : [`${page}: ${link}`];
    });
  });

  assert.deepEqual(broken, []);
});

test('the README names every service that is served', () => {
  const named = readme.replace('`v1alpha`', '`grpc.reflection.v1alpha.ServerReflection`');

  assert.deepEqual(
    serviceNames.filter((name) => !named.includes(`\`${name}\``)),
    [],
  );
});

test("the README's commands do what it says", async (t) => {
  const [start, guide, tests, build, ...others] = commands();
  const run = shell(copyOfProject(t));

  // This test is part of `npm cit`.
  assert.deepEqual([tests, others], ['npm cit', []]);
  const server = run(`${start}`, {
    GREETER_LISTEN: '127.0.0.1:0',
    GREETER_ADMIN_LISTEN: '127.0.0.1:0',
    GREETER_LOG_FORMAT: 'json',
  });
  t.after(() => server.kill());
  const port = await server.has(/"port":(\d+)/);
  await server.has(/"msg":"serving"/);
  const greeting = run(`${guide} --addr localhost:${port}`);
  assert.match(await greeting.output(), /^Hello World$/m);
  const built = run(`${build}`);
  assert.match(await built.output(), /dist\/greeter\.mjs: \d+ bytes/);
});

test('docs/tls.md makes a certificate, serves with it, and calls the server', async (t) => {
  const page = readFileSync(join(root, 'docs/tls.md'), 'utf8');
  const [, start = ''] = /^```sh\n([^]*?)\n```$/m.exec(page) ?? [];
  const [, health = ''] = /^\$ (npm start -- health .*)$/m.exec(page) ?? [];
  const run = shell(copyOfProject(t));

  const server = run(start, {
    GREETER_LISTEN: '127.0.0.1:0',
    GREETER_HEALTH_LISTEN: 'off',
    GREETER_ADMIN_LISTEN: 'off',
    GREETER_LOG_FORMAT: 'json',
  });
  t.after(() => server.kill());
  const port = await server.has(/"port":(\d+)/);
  await server.has(/"msg":"serving"/);

  const checked = run(health.replace('50051', `${port}`));
  assert.match(await checked.output(), /^status: SERVING$/m);
});

/** The shell blocks of the README, except for those that need a cluster: see manifests.test.ts. */
function commands(): string[] {
  const blocks = [...readme.matchAll(/^```sh\n([^]*?)\n```$/gm)].map(([, block = '']) => block);
  return blocks.filter((block) => !block.includes('kubectl'));
}

/** Runs commands in a folder with node_modules. */
function shell(cwd: string) {
  const installed = 'npm() { [ "$1" = ci ] || command npm "$@"; }';
  return (command: string, env: Record<string, string> = {}) => {
    const child = spawn('sh', ['-c', `${installed}; ${command}`], {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
      detached: true,
    });
    const ended = once(child, 'exit');
    let seen = '';
    child.stdout.on('data', (chunk: Buffer) => (seen += chunk.toString()));
    return {
      output: () => text(child.stdout),
      async has(pattern: RegExp) {
        while (!pattern.test(seen)) {
          const [code] = await Promise.race([once(child.stdout, 'data'), ended]);
          assert.notEqual(typeof code, 'number', `"${command}" has ended: ${seen}`);
        }
        return pattern.exec(seen)?.[1];
      },
      async kill() {
        // Ends npm, its shell and the server.
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGTERM');
        await ended;
      },
    };
  };
}
