import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { createInterface } from 'node:readline';
import { type MemoryLog, memoryLog } from '../test/support/harness.ts';

/** Runs podman; returns its output. Throws an Error if it fails. */
export function podman(...args: string[]): string {
  return run('podman', args);
}

/** The same with buildah. */
export function buildah(...args: string[]): string {
  return run('buildah', args);
}

function run(script: string, args: readonly string[]): string {
  const file = join(import.meta.dirname, script);
  return execFileSync(file, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
}

/** The image that IMAGE names, an archive or one of the store, with its configuration. */
export interface Image {
  id: string;
  /** The size of all its files, in bytes. */
  size: number;
  config: {
    User: string;
    Env: readonly string[];
    Entrypoint: readonly string[];
    Labels: Readonly<Record<string, string>>;
  };
  /** True for the executable, false for the bundle on Node. */
  isExe: boolean;
}

/** The image under test. Throws an Error if there is none. */
export function imageUnderTest(): Image {
  const name = process.env['IMAGE'] ?? '';
  const id = name.endsWith('.tar') ? podman('pull', '-q', `oci-archive:${name}`) : name;
  const [{ Size: size, Config: config }] = JSON.parse(podman('image', 'inspect', id));
  return { id, size, config, isExe: config.Entrypoint?.[0] !== '/usr/bin/node' };
}

/** A file of an image: its path and permissions. */
export interface Entry {
  path: string;
  uid: number;
  gid: number;
  mode: number;
  isFolder: boolean;
  size: number;
}

/** Mounts the root folder of an image, and passes it to `use` with all of its files. */
export function withFiles(
  { id }: Image,
  use: (entries: readonly Entry[], root: string) => void,
): void {
  const root = podman('image', 'mount', id);
  try {
    const found = readdirSync(root, { recursive: true, withFileTypes: true });
    const entries = found.map((entry) => {
      const file = join(entry.parentPath, entry.name);
      const { uid, gid, mode, size } = lstatSync(file);
      return { path: relative(root, file), uid, gid, mode, isFolder: entry.isDirectory(), size };
    });
    use(entries, root);
  } finally {
    podman('image', 'unmount', id);
  }
}

/** A container that serves. Use with `await using`, which ends it. */
export interface Container extends AsyncDisposable {
  name: string;
  /** The process ID on this machine. */
  pid: number;
  port: number;
  log: MemoryLog;
  /** Its standard error so far. */
  errors(): string;
  /** The fields of /proc/PID/status. */
  status(): ReadonlyMap<string, string>;
  /** Resolves with podman's exit code, which is the server's. */
  ended: Promise<number>;
}

/** Serves on free ports, in the conditions of a pod. */
export async function serve(
  { id }: Image,
  podmanFlags: readonly string[] = [],
): Promise<Container> {
  const name = `greeter-check-${process.pid}-${performance.now()}`;
  const ports = ['--listen', '127.0.0.1:0', '--admin-listen', '127.0.0.1:0'];
  // Calls of Health are logged at this level.
  const logging = ['--log-level', 'debug'];
  const flags = [process.env['RUN_FLAGS'] ?? '', '--name', name, ...podmanFlags];
  const child = spawn(join(import.meta.dirname, 'run'), [id, ...ports, ...logging], {
    env: { ...process.env, RUN_FLAGS: flags.join(' ') },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  const log = memoryLog();
  createInterface({ input: child.stdout }).on('line', (line) => log.write(line));
  const ended = once(child, 'exit').then(([code]) => Number(code));
  const first = await Promise.race([log.line({ msg: 'serving' }), ended]);
  assert.ok(typeof first === 'object', `did not serve: ${errors}`);
  const pid = Number(podman('inspect', '--format', '{{.State.Pid}}', name));
  return {
    name,
    pid,
    port: Number((await log.line({ msg: 'listening' }))['port']),
    log,
    errors: () => errors,
    status() {
      const lines = readFileSync(`/proc/${pid}/status`, 'utf8').split('\n');
      return new Map(
        lines.map((line) => {
          const [field = '', value = ''] = line.split(':\t');
          return [field, value.trim()];
        }),
      );
    },
    ended,
    async [Symbol.asyncDispose]() {
      podman('rm', '--force', '--ignore', '--time', '0', name);
      await ended;
    },
  };
}
