import { execFile } from 'node:child_process';
import { homedir } from 'node:os';
import { join } from 'node:path';

const foreign = process.env['FOREIGN'] ?? join(homedir(), '.cache/greeter-foreign');

/** Where test/manifests/install.sh puts programs. */
export const programs = join(foreign, 'bin');

/** The versions of Kubernetes whose schemas are there. */
export const kubernetesVersions = ['v1.30.0', 'v1.37.0'] as const;

/**
 * Holds the objects in a file, or in all of a folder, against the schemas of a version of Kubernetes:
 * how many are valid, and what is wrong with the others. A kind without a schema is wrong.
 */
export async function kubeconform(path: string, version: string): Promise<Conforming> {
  const schema = join(foreign, 'schemas', version, '{{ .ResourceKind }}{{ .KindSuffix }}.json');
  const args = ['-strict', '-summary', '-output', 'json', '-schema-location', schema, path];
  const { resources, summary }: { resources: Judged[]; summary: { valid: number } } = JSON.parse(
    await outputOf('kubeconform', args),
  );
  const problems = resources.map(({ kind, name, msg }) => `${kind} ${name}: ${msg}`);
  return { valid: summary.valid, problems };
}

interface Conforming {
  valid: number;
  problems: readonly string[];
}

interface Judged {
  kind: string;
  name: string;
  msg: string;
}

/** The names of the checks of kube-score that an object in a file does not pass, each once, sorted. */
export async function kubeScore(file: string): Promise<string[]> {
  // A limit of processor time would only make starts slow.
  const args = ['score', '--ignore-container-cpu-limit', '--output-format', 'json', file];
  const objects: { checks: Scored[] }[] = JSON.parse(await outputOf('kube-score', args));
  const failed = objects
    .flatMap(({ checks }) => checks)
    .filter(({ skipped, grade }) => !skipped && grade < allRight);
  return [...new Set(failed.map(({ check }) => check.id))].toSorted();
}

const allRight = 10;

interface Scored {
  check: { id: string };
  grade: number;
  skipped: boolean;
}

/** What a program prints; that it finds something to complain of is no error. */
function outputOf(program: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { maxBuffer: 64 * 1024 * 1024 };
    execFile(join(programs, program), args, options, (error, stdout) => {
      if (error && stdout === '') reject(error);
      else resolve(stdout);
    });
  });
}
