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
import { install } from '../support/program.ts';
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

/** The product in the memory of a pod. Use with `await using`. */
export interface Pod extends AsyncDisposable {
  /** How its memory is measured, and what is probed. */
  ports: { main: number; health: number; admin: number };
  /** What a client shows to be served, if it must. */
  identity: CertificatePair | undefined;
  /** Whether the kernel holds the limit; else the process is measured. */
  isConfined: boolean;
  /** Whether it still runs. */
  isAlive(): boolean;
  /** Of its process. */
  pid: number;
  /** Attacks it, with the probes asking all the while, those of the attack besides. */
  under(attack: (probing: Probing) => Promise<void>, more?: readonly Probe[]): Promise<Ordeal>;
  /** Waits until no call is in flight, and no connection is open but those of the probes. */
  calm(): Promise<void>;
  /** How many calls have ended, by their code, as the server counts them. */
  codes(): Promise<Record<string, number>>;
}

/** How a pod has borne an attack. */
export interface Ordeal {
  /** The most memory, in MiB; of sockets, where those are counted apart. */
  peak: number;
  sockets: number | undefined;
  /** Processors. */
  load: number;
  answered: number;
  slowest: number;
  /** What was wrong, each with its reason. */
  failures: readonly string[];
}

const k8s = join(import.meta.dirname, '../../k8s');
const MiB = 1024 * 1024;
const { resources, livenessProbe } = container();
/** The sources, which run where coverage is measured, take more than the built file. */
const scale = process.env['NODE_V8_COVERAGE'] ? 1.25 : 1;
/** The limit of a pod, in MiB. */
export const podMiB = Number(/^(\d+)Mi$/.exec(resources.limits.memory)?.[1]) * scale;
/**
 * What the probe waits that ends a pod: less than it takes for the other, of readiness, to fail as often as
 * it may. Others run beside this test, and how soon an answer comes is printed.
 */
const deadlineMs = livenessProbe.timeoutSeconds * 1000;

interface PodOptions {
  /** Settings beside those of the base. */
  env?: Record<string, string>;
  hasTls?: boolean;
  /** Whether clients must show a certificate; then it has TLS. */
  hasClientCa?: boolean;
  /** What Node is told before it loads the program. */
  nodeFlags?: readonly string[];
}

/** Starts the product as the image and the base have it. */
export async function startPod({
  env,
  hasClientCa = false,
  hasTls = hasClientCa,
  nodeFlags = [],
}: PodOptions = {}): Promise<Pod> {
  const folder = mkdtempSync(join(tmpdir(), 'greeter-pod-'));
  const group = createMemoryGroup(podMiB * MiB);
  const program = install();
  const clientCa = hasClientCa
    ? await certificate({ name: 'authority', keyType: 'ec' })
    : undefined;
  const identity = clientCa && (await certificate({ keyType: 'ec', signer: clientCa }));
  const clientCaFile = join(folder, 'client_ca.pem');
  if (clientCa) writeFileSync(clientCaFile, clientCa.cert);
  const settings: Record<string, string> = {
    // Without a limit that Node knows of, its heap is one of a pod all the same.
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
    // Of a process that is gone nobody wants to hear that it does not answer.
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
      // Those of the probes are none of an attack's.
      if (name !== 'grpc_server_handled_total' || service === 'grpc.health.v1.Health') continue;
      if (value > 0) sums[code] = (sums[code] ?? 0) + value;
    }
    return sums;
  }

  /** None of a process that has ended: who is not told is not alive. */
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

/** What a server finds by itself where there is a limit that Node knows of. */
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

/** What the base sets. */
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

/** The most that a process has had in memory since the last time, in bytes, but for what is in files. */
function takePeakOf(pid: number): number {
  if (!existsSync(`/proc/${pid}/status`)) return 0;
  const peak = peakMemory(pid);
  // Begins anew (proc_pid_clear_refs(5)).
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
  return peak;
}

function lastWords(err: string): string {
  return /FATAL ERROR: .*/.exec(err)?.[0] ?? (err.trim().split('\n').at(-1) || 'ended');
}
