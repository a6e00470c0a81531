// Runs every check of the sources, even if an earlier one fails: npm run verify
// It also generates files again, and fails if they differ from those in git.
import { execFileSync, spawnSync } from 'node:child_process';
import packageJson from './package.json' with { type: 'json' };

const { generate, check, lint } = packageJson.scripts;
const folders = ['src/gen', 'test/conformance/gen', 'test/echo/gen'];

const failed = [generate, check, ...lint.split(' && ')].filter((command) => !passes(command));
const strays = ['diff --name-only', 'ls-files --others --exclude-standard'].flatMap(gitSays);
if (strays.length > 0) {
  failed.push(`git has other files than \`npm run generate\` makes; commit ${strays.join(' ')}`);
}
for (const each of failed) console.error(`verify: failed: ${each}`);
process.exitCode = failed.length > 0 ? 1 : 0;

/** @param {string} command */
function passes(command) {
  console.log(`> ${command}`);
  return spawnSync(command, { shell: true, stdio: 'inherit' }).status === 0;
}

/**
 * The generated files that a git command prints, one per line.
 *
 * @param {string} command
 */
function gitSays(command) {
  const said = execFileSync('git', [...command.split(' '), '--', ...folders], { encoding: 'utf8' });
  return said.split('\n').filter((name) => name !== '');
}
