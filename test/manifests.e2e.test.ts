import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { loadConfig } from '../src/config.ts';
import { certificate, type CertificatePair } from './support/certificate.ts';
import { install } from './support/program.ts';
import { mountSecret, type Secret } from './support/secret.ts';

const components = join(import.meta.dirname, '../k8s/components');
const read = (file: string) => parse(readFileSync(join(components, file), 'utf8'));
const tls = read('tls/kustomization.yaml');
const tlsClients = read('tls-clients/kustomization.yaml');
const { spec: pod } = read('tls/deployment.yaml').spec.template;
const [container] = pod.containers;
const [{ mountPath }] = container.volumeMounts;
const { spec: wanted } = read('tls/certificate.yaml');

test('the TLS component serves with the files of its Secret, and probes the health port', async () => {
  using secret = await mountCertificate();

  const config = loadConfig({ flags: {}, env: variablesOf([tls], secret) });

  const served = config.healthListen.map((address) => 'port' in address && address.port);
  assert.ok(config.tlsCertFile && config.tlsKeyFile);
  assert.deepEqual([container.ports[0].containerPort], served);
  for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe']) {
    assert.deepEqual([container[probe].grpc.port], served);
  }
});

test('the Certificate has every name of the Services', () => {
  const domains = ['', '.greeter', '.greeter.svc', '.greeter.svc.cluster.local'];

  assert.equal(read('../namespace/namespace.yaml').metadata.name, 'greeter');
  assert.deepEqual(
    wanted.dnsNames,
    ['greeter', 'greeter-headless'].flatMap((name) => domains.map((domain) => name + domain)),
  );
});

test("the Job's health check succeeds when the server serves", async () => {
  using program = install();
  const { address } = await program.serve();
  const job = read('health-check-job/job.yaml');

  assert.deepEqual(await program.run(argsOf(job, address)), serving);
});

test("the Job's health check trusts the CA, over TLS", async () => {
  using program = install();
  using secret = await mountCertificate();
  const env = variablesOf([tls], secret);
  const { address } = await program.serve(['--health-listen', 'off'], { env });
  const args = argsOf(read('tls/health_check_job.yaml'), address);

  const trusting = args.map((arg) => arg.replace(mountPath, secret.path('.')));
  // The certificate is for the Service, but the server is local.
  const ended = await program.run([...trusting, '-tls-server-name=greeter']);

  assert.deepEqual(ended, serving);
});

test("the Job's health check sends its certificate if the server requires one", async () => {
  using program = install();
  const authority = await certificate({ name: 'internal-ca' });
  const own = read('tls-clients/certificate.yaml').spec;
  using secret = await mountCertificate(wanted, authority);
  using ownSecret = await mountCertificate(own, authority);
  const patch: ReturnType<typeof read>[] = read('tls-clients/health_check_job.yaml');
  const added = (to: string) => patch.filter(({ path }) => path.endsWith(to)).map((op) => op.value);
  const [mount] = added('/volumeMounts/-');
  const [volume] = added('/volumes/-');
  const env = variablesOf([tls, tlsClients], secret);
  const { address, log } = await program.serve(
    ['--engine=direct', '--health-listen=off', '--log-level=debug'],
    { env },
  );
  const args = [...argsOf(read('tls/health_check_job.yaml'), address), ...added('/args/-')];

  const ended = await program.run([
    ...args.map((arg) =>
      arg.replace(mountPath, secret.path('.')).replace(mount.mountPath, ownSecret.path('.')),
    ),
    '-tls-server-name=greeter',
  ]);

  assert.deepEqual(ended, serving);
  const { client } = await log.line({ 'rpc.method': 'grpc.health.v1.Health/Check' });
  assert.equal(client, 'greeter-health-check');
  assert.deepEqual([volume.name, volume.secret.secretName], [mount.name, own.secretName]);
});

const serving = { code: 0, out: 'status: SERVING\n', err: '' };

/** Mounts the files that cert-manager creates for a Certificate. */
async function mountCertificate(
  spec: { dnsNames: string[] } = wanted,
  authority?: CertificatePair,
) {
  const signer = authority ?? (await certificate({ name: 'internal-ca' }));
  const { cert, key } = await certificate({ name: '', dns: spec.dnsNames, signer });
  return mountSecret({ 'tls.crt': cert, 'tls.key': key, 'ca.crt': signer.cert });
}

interface Component {
  configMapGenerator: readonly { literals: readonly string[] }[];
}

/** The variables that components set, with the files of a mounted Secret. */
function variablesOf(all: readonly Component[], secret: Secret): Record<string, string> {
  const literals = all.flatMap(({ configMapGenerator: [first] }) => first?.literals ?? []);
  return Object.fromEntries(
    literals.map((literal) => literal.replace(mountPath, secret.path('.')).split('=', 2)),
  );
}

interface Job {
  spec: { template: { spec: { containers: readonly { args: readonly string[] }[] } } };
}

/** The arguments of a Job for a local server. */
function argsOf({ spec }: Job, address: string): string[] {
  const [{ args } = assert.fail('runs nothing')] = spec.template.spec.containers;
  return args.map((arg) => arg.replace('greeter:50051', address));
}
