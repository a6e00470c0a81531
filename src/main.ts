import { availableParallelism, hostname, totalmem } from 'node:os';
import { relative } from 'node:path';
import { isatty } from 'node:tty';
import { inspect } from 'node:util';
import packageJson from '../package.json' with { type: 'json' };
import type { Command, Io } from './cli/command.ts';
import { parse } from './cli/parse.ts';
import { shellWord } from './cli/shell.ts';
import { versionLine } from './cli/version.ts';
import { memoryOf } from './config/memory.ts';
import { UsageError } from './config.ts';
import { endAtSignals } from './lifecycle.ts';
import { printable } from './printable.ts';

// First of all, as a container may be stopped while it starts.
endAtSignals();

/** Loaded on demand: a server does not need the clients' libraries. */
const commands = new Map<string, () => Promise<Command>>([
  ['serve', async () => (await import('./cli/serve.ts')).serve],
  ['guide', async () => (await import('./services/guides/command.ts')).guide],
  ['health', async () => (await import('./cli/health.ts')).health],
  ['check-config', async () => (await import('./cli/check_config.ts')).checkConfig],
]);

/** Defined by build.mjs in the built file; undefined when the sources run. */
declare const builtFromCommit: string | undefined;

// Without a listener, SIGUSR1 opens Node's debugger port.
process.on('SIGUSR1', () => {});

const terminals = [0, 1, 2].filter((fd) => isatty(fd));

const io: Io = {
  env: process.env,
  program: programName(),
  firstCall: 'guide hello',
  version: packageJson.version,
  // Output may quote servers, and must not control the terminal.
  write: (text) => void process.stdout.write(printable(text)),
  error: (line) => console.error(printable(line)),
  input: process.stdin,
  // After a hangup there is no terminal. On Windows, SIGHUP always means that the console was closed.
  terminalIsGone: () => process.platform === 'win32' || !terminals.every((fd) => isatty(fd)),
  logTo: process.stdout.fd,
  isTerminal: process.stdout.isTTY,
  hostname: hostname(),
  capacity: () => ({
    cpus: availableParallelism(),
    memory: memoryOf({ constrained: process.constrainedMemory(), total: totalmem() }),
  }),
  commit: typeof builtFromCommit === 'string' ? builtFromCommit : '',
  figures: {
    nodeVersion: process.version,
    startedAt: performance.timeOrigin,
    cpuUsage: () => process.cpuUsage(),
    memoryUsage: () => process.memoryUsage(),
    // Loaded when metrics are read.
    heapLimit: () => process.getBuiltinModule('node:v8').getHeapStatistics().heap_size_limit,
    eventLoop: () => performance.eventLoopUtilization(),
  },
  atExit: (work) => void process.on('exit', work),
  onWarning(take) {
    // There is no listener if Node's warnings are disabled.
    if (process.listenerCount('warning') > 0)
      process.removeAllListeners('warning').on('warning', take);
  },
};

io.onWarning(({ name, message }) => io.error(`${name}: ${message}`));
process.stdout.on('error', ({ code, message }: NodeJS.ErrnoException) => {
  // A closed pipe needs no message.
  if (code !== 'EPIPE') io.error(`Cannot write to standard output: ${message}`);
  // There is no output left to write.
  process.exit(process.exitCode || 1);
});

try {
  const exitCode = await main(process.argv.slice(2));
  process.exitCode ||= exitCode;
} catch (error) {
  io.error(error instanceof UsageError ? error.message : inspect(error));
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
// A peer that keeps its connection open must not keep the process alive.
setTimeout(() => process.exit(), 200).unref();

async function main(argv: readonly string[]): Promise<number> {
  const [first = 'serve', ...rest] = argv;
  if (first === '--version' || first === '-V') {
    io.write(versionLine(io));
    return 0;
  }
  if (first === '--help' || first === '-h') {
    io.write(await help());
    return 0;
  }
  // Flags without a command belong to serve.
  const [name, args] = first.startsWith('-') ? ['serve', argv] : [first, rest];
  const load = commands.get(name);
  if (!load) {
    throw new UsageError('run this command', [
      `"${name}": must be one of ${[...commands.keys()].join(', ')}`,
    ]);
  }
  const command = await load();
  const parsed = parse(name, command, args);
  if ('help' in parsed) {
    io.write(parsed.help);
    return 0;
  }
  return command.run(parsed, io);
}

async function help(): Promise<string> {
  const lines = [];
  for (const [name, load] of commands) {
    lines.push(`  ${name.padEnd(14)}${(await load()).summary}`);
  }
  return `Usage: greeter [command] [flags]

A gRPC test server, and a template for production services.
Without a command it serves; greeter serve --help lists its flags.

Commands:
${lines.join('\n')}

Flags:
  -h, --help     show this; with a command, its flags and examples
  -V, --version  print the version, and the commit it was built from

Examples:
  # Serve everything on the default ports
  greeter
  # Call it, from another terminal
  greeter ${io.firstCall ?? 'health --addr localhost:50051'}
`;
}

/** How to invoke this program again. */
function programName(): string {
  if (process.env['npm_lifecycle_event'] === 'start') return 'npm start --';
  const script = process.argv[1];
  if (script === undefined) return 'greeter';
  // For an executable, this is its name as typed.
  return script === process.argv0 ? shellWord(script) : `node ${shellWord(fromHere(script))}`;
}

/** A path relative to the working directory, or unchanged if that is gone. */
function fromHere(path: string): string {
  try {
    return relative(process.cwd(), path);
  } catch {
    return path;
  }
}
