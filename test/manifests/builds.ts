import { execFile } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { parse, parseAllDocuments } from 'yaml';
import type { Manifest } from './manifest.ts';
import { programs } from './tools.ts';

const k8s = join(import.meta.dirname, '../../k8s');

/** What kustomize makes of an overlay, or of the base with some components. */
export interface Build {
  name: string;
  /** The names of its components. */
  components: readonly string[];
  /** The file it is in. */
  file: string;
  objects: readonly Manifest[];
}

/** The names of all overlays. */
export const overlays = readdirSync(join(k8s, 'overlays'));

/** The names of all components. */
export const components = readdirSync(join(k8s, 'components'));

/** Every choice of components: none, all, and what is between; each in the order of their names. */
export const choices = choicesOf(components).filter(hasWhatItChanges);

/** What kustomize has made, in a folder. Use with `using`: it removes the folder. */
export interface Builds extends Disposable {
  folder: string;
  all: readonly Build[];
}

/** Builds every overlay, and the base with each of these choices; throws what kustomize says. */
export async function build(someChoices: readonly (readonly string[])[]): Promise<Builds> {
  const work = mkdtempSync(join(tmpdir(), 'greeter-'));
  const folder = join(work, 'builds');
  mkdirSync(folder);
  cpSync(k8s, join(work, 'k8s'), { recursive: true });
  const waiting = [
    ...overlays.map((name) => join(work, 'k8s/overlays', name)),
    ...someChoices.map((choice) => writeChoice(work, choice)),
  ];
  const all: Build[] = [];
  const worker = async () => {
    for (let next = waiting.pop(); next; next = waiting.pop())
      all.push(await buildOne(next, folder));
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
  return { folder, all, [Symbol.dispose]: () => rmSync(work, { recursive: true }) };
}

function choicesOf(names: readonly string[]): string[][] {
  return names.reduce<string[][]>(
    (all, name) => all.flatMap((some) => [some, [...some, name]]),
    [[]],
  );
}

/** Who asks for clients' certificates serves with one. */
function hasWhatItChanges(choice: readonly string[]): boolean {
  return choice.includes('tls') || !choice.includes('tls-clients');
}

function writeChoice(work: string, choice: readonly string[]): string {
  const path = join(work, 'k8s/choices', ['base', ...choice].join('+'));
  mkdirSync(path, { recursive: true });
  const kustomization = {
    apiVersion: 'kustomize.config.k8s.io/v1beta1',
    kind: 'Kustomization',
    namespace: 'greeter',
    resources: ['../../namespace', '../../base'],
    components: choice.map((name) => `../../components/${name}`),
  };
  // JSON is YAML.
  writeFileSync(join(path, 'kustomization.yaml'), JSON.stringify(kustomization));
  return path;
}

async function buildOne(path: string, folder: string): Promise<Build> {
  const { stdout } = await promisify(execFile)(join(programs, 'kustomize'), ['build', path]);
  const name = basename(path);
  const file = join(folder, `${name}.yaml`);
  writeFileSync(file, stdout);
  const kustomization: { components?: string[] } = parse(
    readFileSync(join(path, 'kustomization.yaml'), 'utf8'),
  );
  return {
    name,
    components: (kustomization.components ?? []).map((each) => basename(each)),
    file,
    objects: parseAllDocuments(stdout).map((document): Manifest => document.toJS()),
  };
}
