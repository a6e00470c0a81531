import assert from 'node:assert/strict';
import type { Program } from './program.ts';

/** The settings for serve and check-config. */
export interface Given {
  args: readonly string[];
  env?: Record<string, string>;
  launcher?: readonly string[];
}

type Ended = Awaited<ReturnType<Program['run']>>;

/** What both must report, where they agree. */
export interface Agreed {
  /** 0, or 2 if they reject the settings. */
  code: number;
  /** What check-config prints on standard error. */
  said: string;
  /** Everything that both have printed and logged. */
  printed: string;
}

/**
 * Runs check-config, starts serve, and ends it as soon as it serves. Throws an AssertionError unless they agree on
 * the settings and their errors. Errors that only occur when binding are exempt.
 */
export async function agreed(
  program: Program,
  { args, env = {}, launcher = [] }: Given,
): Promise<Agreed> {
  const checked = await program.run(['check-config', ...args], { env, launcher });
  const served = await program.run(['serve', ...args], { env, launcher, stopAt: /\bserving\b/ });
  for (const { code, out, err } of [checked, served]) {
    assert.ok(code === 0 || code === 1 || code === 2, `exit code ${code}: ${err}`);
    assert.doesNotMatch(`${out}\n${err}`, /^\s+at |\\n {4}at |node:internal/m);
  }
  assert.notEqual(checked.code, 1, checked.err);
  if (checked.code === 0 && served.code === 1) {
    assert.match(served.err, /Cannot listen on .*: address already in use/);
  } else assert.equal(served.code, checked.code, served.err || checked.err);
  if (checked.code === 0) {
    assert.ok(JSON.parse(checked.out));
    if (served.code === 0) assert.equal(served.err, '');
  }
  // Warnings come first, and a server that does not start logs nothing.
  const [complaints = '', problems = complaints] = checked.err.split(/^(?=Cannot start )/m);
  if (served.code === 0) assertSays(served, complaints);
  if (served.code === 2) assertSays(served, problems);
  const printed = [checked.out, checked.err, served.out, served.err].join('\n');
  return { code: checked.code ?? Number.NaN, said: checked.err, printed };
}

/** Throws unless all of these lines are on standard error, or in a log that may be JSON. */
function assertSays({ out, err }: Ended, lines: string): void {
  const said = bare(out + err);
  for (const line of lines.split('\n')) {
    // Both add other text around it.
    const text = line
      .replace(
        /^(tracing is off: |the default is used: |unknown variable: |Cannot start with .*:$)/,
        '',
      )
      .trim();
    const isSaid = said.includes(bare(text)) || said.includes(bare(JSON.stringify(text)));
    assert.ok(isSaid, `serve does not say ${text}, but\n${out}${err}`);
  }
}

/** Removes escapes and quotes, as texts are escaped once or twice. */
function bare(text: string): string {
  return text
    .replaceAll(/\\u([\da-f]{4})/gi, (_, code: string) => String.fromCharCode(parseInt(code, 16)))
    .replaceAll(/\\[bfnrt]/g, (short) => String(JSON.parse(`"${short}"`)))
    .replaceAll(/[\\"]/g, '');
}
