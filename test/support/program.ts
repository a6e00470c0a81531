import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { get, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, relative, resolve } from 'node:path';
import type { Readable, Stream } from 'node:stream';
import { text } from 'node:stream/consumers';
import type { Channel } from 'nice-grpc';
import { dial } from '../../src/transport/client.ts';
import { engineName, eventually, type MemoryLog, memoryLog } from './harness.ts';
import { parsePrometheus } from './prometheus.ts';
import { serverTls } from './tls.ts';

/** The product, in one file. */
export const built = join(import.meta.dirname, '../../dist/greeter.mjs');
/** Runs the sources if their coverage is measured. */
const coverage = process.env['NODE_V8_COVERAGE'];
const sources = join(import.meta.dirname, '../../src/main.ts');
/** Commands run with the Node of these tests, whatever else is installed. */
const ownNodeFirst = {
  ...process.env,
  PATH: `${dirname(process.execPath)}${delimiter}${process.env['PATH'] ?? ''}`,
};
/** A program to test instead of the built file, with an optional emulator before it. */
const executable = process.env['EXECUTABLE']?.split(' ');

/** The engine under test. */
const served = { GREETER_ENGINE: engineName };

interface RunOptions {
  env?: Record<string, string>;
  /** Standard output and error as for spawn(), instead of pipes that are read. */
  out?: Output;
  err?: Output;
  /** Flags of Node. */
  nodeFlags?: readonly string[];
  /** Standard input. */
  input?: string;
  /** Input to write when the output matches. */
  answer?: { to: RegExp; with: string };
  /** Sends SIGTERM when the output matches. */
  stopAt?: RegExp;
  /** Called with the process ID. */
  onStart?: (pid: number) => void;
  /** Runs it in a folder that has been removed. */
  inRemovedFolder?: boolean;
  /** A command that runs the following one in its place. */
  launcher?: readonly string[];
}

type Output = 'pipe' | number | Stream;

/** The built file in a folder of its own. */
export interface Program extends Disposable {
  /** The command to run it in its folder. */
  command: string;
  /** Runs it until it exits. */
  run(args: readonly string[], options?: RunOptions): Promise<Ended & { out: string }>;
  /** Runs a shell command in its folder. */
  type(line: string): Promise<Ended & { out: string }>;
  /** Runs `serve` on a free port, with the engine and the TLS under test; resolves when it serves. */
  serve(args?: readonly string[], options?: RunOptions): Promise<Served>;
  /** Runs `serve` without reading its log; resolves when it is ready. */
  serveUnread(args: readonly string[], options: RunOptions): Promise<ServedUnread>;
}

/** A running server whose log is not read. */
export interface ServedUnread extends Pick<Served, 'pid' | 'channel' | 'signal' | 'ended'> {
  /** Connects a socket to its address. */
  connect(): Socket;
  /** Its standard output, if it is a pipe. */
  out: Readable | null;
  /** The value of a metric without labels. */
  metric(name: string): Promise<number>;
}

/** A running server. */
export interface Served {
  pid: number;
  /** HOST:PORT of its first address. */
  address: string;
  channel: Channel;
  log: MemoryLog;
  /** Stops reading its log. */
  stallLog(): void;
  /** Reads the rest of its log, and discards it. */
  discardLog(): void;
  signal(name: NodeJS.Signals): void;
  ended: Promise<Ended>;
}

/** The exit code of a process, and its standard error. */
interface Ended {
  code: number | null;
  err: string;
}

/** Copies the built file into an empty folder. Use with `using`: it ends running processes. */
export function install(): Program {
  return installFile({ file: built, instead: executable });
}

/** A program to install. */
interface Installed {
  /** The built file. */
  file: string;
  /** A command that runs another program in its place. */
  instead?: readonly string[] | undefined;
  /** A module that the sources import first, if they run in its place. */
  preload?: string;
}

/** install() for other programs than the product. */
export function installFile({ file, instead, preload }: Installed): Program {
  const folder = mkdtempSync(join(tmpdir(), 'greeter-'));
  copyFileSync(file, join(folder, 'greeter.mjs'));
  const flags = preload ? ['--import', preload] : [];
  const typed = instead
    ? [...instead.slice(0, -1), resolve(instead.at(-1) ?? '')]
    : ['node', ...(coverage ? [...flags, relative(folder, sources)] : ['greeter.mjs'])];
  const [command = '', ...first] = typed;
  const children: ChildProcess[] = [];
  const cached = instead ? {} : compileCache(folder, file);

  return {
    command: typed.join(' '),
    run(args, options) {
      const child = start(args, options);
      options?.onStart?.(child.pid ?? assert.fail('did not start'));
      return toEnd(child, options);
    },
    type: (line) =>
      toEnd(
        started(spawn('sh', ['-c', line], { cwd: folder, env: { ...ownNodeFirst, ...cached } })),
      ),
    async serve(args = [], { env, ...options } = {}) {
      const settings = { ...served, ...tlsSettings(folder), ...env };
      const all = ['serve', '--listen', '127.0.0.1:0', ...args];
      return serve(start(all, { ...options, env: settings }));
    },
    async serveUnread(args, { env, ...options }) {
      const [listen, admin] = [join(folder, 'grpc.sock'), join(folder, 'admin.sock')];
      const addresses = ['--listen', `unix:${listen}`, '--admin-listen', `unix:${admin}`];
      const settings = { ...served, ...env };
      const child = start(['serve', ...addresses, ...args], { ...options, env: settings });
      return serveUnread(child, { listen, admin });
    },
    [Symbol.dispose]() {
      for (const child of children) child.kill('SIGKILL');
      rmSync(folder, { recursive: true });
    },
  };

  function start(
    args: readonly string[],
    {
      env = {},
      input = '',
      answer,
      inRemovedFolder = false,
      launcher = inRemovedFolder ? removing : [],
      out = 'pipe',
      err = 'pipe',
      nodeFlags = [],
    }: RunOptions = {},
  ) {
    const typedHere = [instead ? command : process.execPath, ...nodeFlags, ...first];
    const all = [...launcher, ...(inRemovedFolder ? typedHere.map(fromAnywhere) : typedHere)];
    const child = spawn(all[0] ?? '', [...all.slice(1), ...args], {
      cwd: folder,
      stdio: ['pipe', out, err],
      env: {
        // Only one server can use its default port.
        GREETER_ADMIN_LISTEN: 'off',
        ...cached,
        ...env,
        HOME: folder,
        ...(coverage && { NODE_V8_COVERAGE: coverage }),
      },
    });
    started(child);
    // Some processes end before they have read it.
    child.stdin?.on('error', () => {}).write(input);
    if (!answer) child.stdin?.end();
    return child;
  }

  function started(child: ChildProcess): ChildProcess {
    children.push(child);
    return child;
  }

  function fromAnywhere(part: string): string {
    return part.endsWith('.mjs') || part.endsWith('.ts') ? resolve(folder, part) : part;
  }
}

/**
 * The settings of Node's compile cache, if these tests use one. A program is started hundreds of times, in as many
 * folders: with a path relative to its own, all of them find the same entry.
 */
function compileCache(folder: string, file: string): Record<string, string> {
  const shared = process.env['NODE_COMPILE_CACHE'];
  if (!shared || coverage) return {};
  const target = resolve(shared, 'programs', encodeURIComponent(file));
  const link = join(folder, '.cache');
  mkdirSync(target, { recursive: true });
  symlinkSync(target, link);
  return { NODE_COMPILE_CACHE: link, NODE_COMPILE_CACHE_PORTABLE: '1' };
}

/** Runs the following command in a folder that is gone. */
const removing = ['sh', '-c', 'mkdir gone && cd gone && rmdir ../gone && exec "$0" "$@"'];

/** The TLS files of the harness. */
function tlsSettings(folder: string): Record<string, string> {
  if (!serverTls) return {};
  const [certFile, keyFile] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  writeFileSync(certFile, serverTls.cert);
  writeFileSync(keyFile, serverTls.key);
  return {
    GREETER_TLS_CERT_FILE: certFile,
    GREETER_TLS_KEY_FILE: keyFile,
    // Its port is fixed, and tests run concurrently.
    GREETER_HEALTH_LISTEN: 'off',
  };
}

async function toEnd(
  child: ChildProcess,
  { stopAt, answer }: Pick<RunOptions, 'stopAt' | 'answer'> = {},
): Promise<Ended & { out: string }> {
  let seen = '';
  let isAnswered = false;
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      seen += chunk.toString();
      if (!child.killed && stopAt?.test(seen)) child.kill();
      if (!answer || isAnswered || !answer.to.test(seen)) return;
      isAnswered = true;
      child.stdin?.write(answer.with);
    });
  }
  const [out, err, [code]] = await Promise.all([
    child.stdout ? text(child.stdout) : '',
    child.stderr ? text(child.stderr) : '',
    once(child, 'exit'),
  ]);
  return { code, out, err };
}

function endOf(child: ChildProcess): Promise<Ended> {
  const err = child.stderr ? text(child.stderr) : '';
  return Promise.all([once(child, 'exit'), err]).then(([[code], said]) => ({ code, err: said }));
}

async function serveUnread(
  child: ChildProcess,
  sockets: { listen: string; admin: string },
): Promise<ServedUnread> {
  const ended = endOf(child);
  const isReady = () =>
    getAdmin(sockets.admin, '/readyz').then(
      ({ statusCode }) => statusCode === 200,
      () => false,
    );
  await eventually('a server that is ready', () => child.exitCode !== null || isReady());
  assert.equal(child.exitCode, null, 'did not serve');
  const { pid = assert.fail('did not start') } = child;
  return {
    pid,
    channel: dial({ address: `unix:${sockets.listen}` }),
    signal: (name) => void child.kill(name),
    ended,
    out: child.stdout,
    connect: () => connect(sockets.listen),
    async metric(name) {
      const response = await getAdmin(sockets.admin, '/metrics');
      const samples = parsePrometheus(await text(response));
      return samples.find((sample) => sample.name === name)?.value ?? assert.fail(`no ${name}`);
    },
  };
}

async function getAdmin(socketPath: string, path: string): Promise<IncomingMessage> {
  const [response] = await once(get({ socketPath, path }), 'response');
  return response;
}

async function serve(child: ChildProcess): Promise<Served> {
  const log = memoryLog();
  const input = child.stdout ?? assert.fail('has no pipe to read its log from');
  forEachLine(input, (line) => log.write(line));
  const ended = endOf(child);
  const serving = await Promise.race([log.line({ msg: 'serving' }), ended]);
  assert.ok('msg' in serving, `did not serve: ${JSON.stringify(serving)}`);

  const { port } = await log.line({ msg: 'listening' });
  const address = `127.0.0.1:${String(port)}`;
  const signal = (name: NodeJS.Signals) => void child.kill(name);
  const stallLog = () => void input.removeAllListeners('data').pause();
  const discardLog = () => void input.removeAllListeners('data').resume();
  const tls = serverTls && { ca: Buffer.from(serverTls.cert) };
  const { pid = assert.fail('did not start') } = child;
  const channel = dial({ address, tls });
  return { pid, address, channel, log, stallLog, discardLog, signal, ended };
}

/** Reads complete lines: a server that is killed may leave its last one cut off. */
function forEachLine(input: Readable, take: (line: string) => void): void {
  let rest = '';
  input.setEncoding('utf8').on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    lines.forEach(take);
  });
}
