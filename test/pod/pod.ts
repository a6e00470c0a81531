import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { parse } from 'yaml';
import { loadConfig } from '../../src/config.ts';
import { certificate, type CertificatePair } from '../support/certificate.ts';
import { cpuTime } from '../support/cpu.ts';
import { messageOf } from '../../src/message_of.ts';
import { eventually } from '../support/harness.ts';
import { imageEnv } from '../support/image_env.ts';
import { peakMemory } from '../support/memory.ts';
import { installEcho } from '../support/echo_program.ts';
import { parsePrometheus, type Sample } from '../support/prometheus.ts';
import { createMemoryGroup } from './memory_group.ts';
import {
  type Asked,
  keptConnection,
  newConnection,
  type Probe,
  type ProbeReport,
  type Probing,
  startProbes,
} from './probes.ts';

/** The product and the services of echo.proto, with the memory of a pod. Use with `await using`. */
export interface Pod extends AsyncDisposable {
  /** The ports for clients and probes. */
  ports: { main: number; health: number; admin: number };
  /** The client certificate, if one is required. */
  identity: CertificatePair | undefined;
  /** True if the kernel enforces the limit; otherwise the process is measured. */
  isConfined: boolean;
  /** True while it runs. */
  isAlive(): boolean;
  /** The process ID. */
  pid: number;
  /** Runs an attack while probes run, with additional ones for this attack. */
  under(attack: (probing: Probing) => Promise<void>, more?: readonly Probe[]): Promise<Ordeal>;
  /** Waits until no call is in flight, and only the probes' connections are open. */
  calm(): Promise<void>;
  /** The number of ended calls by status, from the metrics. */
  codes(): Promise<Record<string, number>>;
}

/** The result of an attack on a pod. */
export interface Ordeal {
  /** The maximum memory in MiB; that of sockets, if it is counted separately. */
  peak: number;
  sockets: number | undefined;
  /** The CPU usage in processors. */
  load: number;
  answered: number;
  slowest: number;
  /** Violated expectations with their reasons. */
  failures: readonly string[];
}

const k8s = join(import.meta.dirname, '../../k8s');
const MiB = 1024 * 1024;
const { resources, livenessProbe } = container();
/** The sources, which run for coverage, take more memory than the built file. */
const scale = process.env['NODE_V8_COVERAGE'] ? 1.25 : 1;
/** The memory limit of a pod, in MiB. */
export const podMiB = Number(/^(\d+)Mi$/.exec(resources.limits.memory)?.[1]) * scale;
/**
 * The timeout of the liveness probe, whose failure restarts a pod. Other tests run at the same time, so latencies are
 * only printed.
 */
const deadlineMs = livenessProbe.timeoutSeconds * 1000;

interface PodOptions {
  /** Settings besides those of the base. */
  env?: Record<string, string>;
  hasTls?: boolean;
  /** True for mutual TLS. */
  hasClientCa?: boolean;
  /** Flags of Node. */
  nodeFlags?: readonly string[];
}

/** Starts it with the settings of image and base. */
export async function startPod({
  env,
  hasClientCa = false,
  hasTls = hasClientCa,
  nodeFlags = [],
}: PodOptions = {}): Promise<Pod> {
  const folder = mkdtempSync(join(tmpdir(), 'greeter-pod-'));
  const group = createMemoryGroup(podMiB * MiB);
  const program = installEcho();
  const clientCa = hasClientCa
    ? await certificate({ name: 'authority', keyType: 'ec' })
    : undefined;
  const identity = clientCa && (await certificate({ keyType: 'ec', signer: clientCa }));
  const clientCaFile = join(folder, 'client_ca.pem');
  if (clientCa) writeFileSync(clientCaFile, clientCa.cert);
  const settings: Record<string, string> = {
    // Without a cgroup, the heap is limited as in a pod.
    ...imageEnv(group ? undefined : podMiB),
    ...baseEnv(),
    ...(hasTls ? await tlsEnv(folder) : noTlsEnv),
    ...(clientCa && { GREETER_TLS_CLIENT_CA_FILE: clientCaFile }),
    ...env,
  };
  const own = {
    ...settings,
    GREETER_ENGINE: 'direct',
    GREETER_HEALTH_LISTEN: '127.0.0.1:0',
    GREETER_ADMIN_LISTEN: '127.0.0.1:0',
  };
  const served = await program.serve([], {
    env: group ? own : { ...limitsOfPod(own), ...own },
    nodeFlags,
    ...(group && { launcher: group.launcher }),
  });
  const { log, pid } = served;
  const portOf = async (msg: string) => Number((await log.line({ msg }))['port']);
  const ports = {
    main: await portOf('listening'),
    health: await portOf('listening for health'),
    admin: await portOf('admin listening'),
  };
  served.discardLog();
  let isAlive = true;
  const ended = served.ended.finally(() => (isAlive = false));
  const takePeak = group ? group.takePeak : () => takePeakOf(pid);
  return {
    ports,
    identity,
    isConfined: group !== undefined,
    isAlive: () => isAlive,
    pid,
    under,
    calm,
    codes,
    async [Symbol.asyncDispose]() {
      program[Symbol.dispose]();
      await ended;
      await group?.remove();
      rmSync(folder, { recursive: true });
    },
  };

  async function under(
    attack: (probing: Probing) => Promise<void>,
    more: readonly Probe[] = [],
  ): Promise<Ordeal> {
    takePeak();
    group?.takeSocketPeak();
    const before = group?.killed() ?? 0;
    const [start, cpu] = [performance.now(), cpuTime(pid)];
    const main = `${hasTls ? 'https' : 'http'}://127.0.0.1:${ports.main}`;
    const asked: Asked[] = [
      { name: 'main port', origin: main, identity },
      { name: 'health port', origin: `http://127.0.0.1:${ports.health}`, identity: undefined },
    ];
    const all = [newConnection, keptConnection].flatMap((kind) => asked.map((each) => kind(each)));
    const probing = startProbes([...all, ...more], deadlineMs);
    let load: number;
    let report: ProbeReport;
    try {
      await attack(probing);
    } finally {
      load = Math.max(0, cpuTime(pid) - cpu) / (performance.now() - start);
      report = await probing.stop();
    }
    await metrics();
    const { answered, slowest, failures } = report;
    const peak = (group || isAlive ? takePeak() : 0) / MiB;
    const sockets = group?.takeSocketPeak();
    const reasons: string[] = [];
    if ((group?.killed() ?? 0) > before) reasons.push('killed: out of memory');
    else if (!isAlive) reasons.push(lastWords((await ended).err));
    else if (peak > podMiB) reasons.push(`${Math.round(peak)} MiB at most`);
    // The probes of a process that has ended fail for that reason.
    else reasons.push(...[...failures].map(([failure, times]) => `${times} × ${failure}`));
    return {
      peak,
      sockets: sockets === undefined ? undefined : sockets / MiB,
      load,
      answered,
      slowest,
      failures: reasons,
    };
  }

  async function calm(): Promise<void> {
    await eventually('a pod without calls and connections', async () => {
      const all = await metrics();
      if (!isAlive) return true;
      return valueOf(all, 'calls_in_flight') === 0 && valueOf(all, 'open_connections') === 0;
    });
  }

  async function codes(): Promise<Record<string, number>> {
    const sums: Record<string, number> = {};
    for (const { name, labels, value } of await metrics()) {
      const { grpc_code: code = '', grpc_service: service } = labels;
      // Calls of the probes do not belong to the attack.
      if (name !== 'grpc_server_handled_total' || service === 'grpc.health.v1.Health') continue;
      if (value > 0) sums[code] = (sums[code] ?? 0) + value;
    }
    return sums;
  }

  /** Empty for a process that has ended. */
  async function metrics(): Promise<Sample[]> {
    try {
      const address = { host: '127.0.0.1', port: ports.admin, path: '/metrics', agent: false };
      const [response] = await once(get(address), 'response');
      return parsePrometheus(await text(response));
    } catch (error) {
      await eventually(`the end of what says ${messageOf(error)}`, () => !isAlive);
      return [];
    }
  }
}

/** The limits that a server derives from a memory limit. */
function limitsOfPod(env: Record<string, string>): Record<string, string> {
  const config = loadConfig({ flags: {}, env, memory: podMiB * MiB });
  return {
    GREETER_MAX_CONNECTIONS: `${config.maxConnections}`,
    GREETER_MAX_HANDSHAKES: `${config.maxHandshakes}`,
  };
}

function valueOf(samples: readonly Sample[], name: string): number | undefined {
  return samples.find((sample) => sample.name === `greeter_${name}`)?.value;
}

function container() {
  return parse(readFileSync(join(k8s, 'base/deployment.yaml'), 'utf8')).spec.template.spec
    .containers[0];
}

/** The settings of the base. */
export function baseEnv(): Record<string, string> {
  const { configMapGenerator } = parse(readFileSync(join(k8s, 'base/kustomization.yaml'), 'utf8'));
  const [{ literals }]: [{ literals: string[] }] = configMapGenerator;
  return Object.fromEntries(literals.map((literal) => literal.split('=', 2)));
}

const noTlsEnv = { GREETER_TLS_CERT_FILE: '', GREETER_TLS_KEY_FILE: '' };

async function tlsEnv(folder: string): Promise<Record<string, string>> {
  const { cert, key } = await certificate();
  const [certFile, keyFile] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  writeFileSync(certFile, cert);
  writeFileSync(keyFile, key);
  return { GREETER_TLS_CERT_FILE: certFile, GREETER_TLS_KEY_FILE: keyFile };
}

/** The maximum anonymous memory of a process since the last call, in bytes. */
function takePeakOf(pid: number): number {
  if (!existsSync(`/proc/${pid}/status`)) return 0;
  const peak = peakMemory(pid);
  // Resets the maximum (proc_pid_clear_refs(5)).
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
  return peak;
}

function lastWords(err: string): string {
  return /FATAL ERROR: .*/.exec(err)?.[0] ?? (err.trim().split('\n').at(-1) || 'ended');
}
