import { danglingIn } from './dangling.ts';
import type { Container, Manifest } from './manifest.ts';

/** What our own rules find wrong with the objects of a build: what no schema says. */
export function problemsOf(objects: readonly Manifest[]): string[] {
  return [
    ...danglingIn(objects),
    ...objects.flatMap((object) => [
      ...unevictable(object),
      ...containersOf(object).flatMap((container) => [
        ...undeclaredProbes(container),
        ...unconfined(object, container),
        ...fixedMounts(container),
        ...silentEnds(container),
      ]),
    ]),
    ...plainOverTls(objects),
  ];
}

/** Without it a pod that never gets ready keeps its node from being drained. */
function unevictable({ kind, spec }: Manifest): string[] {
  const right = spec?.unhealthyPodEvictionPolicy === 'AlwaysAllow';
  return kind !== 'PodDisruptionBudget' || right ? [] : [`${kind}: keeps pods that are not ready`];
}

function containersOf({ spec }: Manifest): readonly Container[] {
  return spec?.template?.spec.containers ?? [];
}

function undeclaredProbes({
  name,
  ports = [],
  startupProbe,
  livenessProbe,
  readinessProbe,
}: Container): string[] {
  const declared = new Set(ports.map(({ containerPort }) => containerPort));
  return [startupProbe, livenessProbe, readinessProbe].flatMap((probe) =>
    !probe || declared.has(probe.grpc.port)
      ? []
      : [`${name}: probes ${probe.grpc.port}, which it does not declare`],
  );
}

function unconfined({ spec }: Manifest, { name, securityContext, resources }: Container): string[] {
  const pod = spec?.template?.spec.securityContext;
  const lacks = {
    runAsNonRoot: pod?.runAsNonRoot !== true,
    seccompProfile: pod?.seccompProfile?.type !== 'RuntimeDefault',
    allowPrivilegeEscalation: securityContext?.allowPrivilegeEscalation !== false,
    readOnlyRootFilesystem: securityContext?.readOnlyRootFilesystem !== true,
    capabilities: securityContext?.capabilities?.drop?.includes('ALL') !== true,
    memory: resources?.limits?.['memory'] === undefined,
  };
  return Object.entries(lacks).flatMap(([what, lacking]) =>
    lacking ? [`${name}: is not confined by ${what}`] : [],
  );
}

/** Kubernetes never renews what is mounted by subPath. */
function fixedMounts({ name, volumeMounts = [] }: Container): string[] {
  const fixed = volumeMounts.filter(({ subPath }) => subPath !== undefined);
  return fixed.map((mount) => `${name}: mounts "${mount.name}" by subPath`);
}

/** Else the status of a pod that does not start has an exit code, and why is in a log that may be gone. */
function silentEnds({ name, terminationMessagePolicy }: Container): string[] {
  const isTold = terminationMessagePolicy === 'FallbackToLogsOnError';
  return isTold ? [] : [`${name}: does not say in its status why it ended`];
}

/** h2c says HTTP/2 without TLS, to gateways and meshes. */
function plainOverTls(objects: readonly Manifest[]): string[] {
  if (!objects.some(({ kind }) => kind === 'Certificate')) return [];
  return objects
    .filter(({ spec }) => spec?.ports?.some(({ appProtocol }) => appProtocol?.endsWith('/h2c')))
    .map(({ metadata }) => `${metadata.name}: says h2c of ports with TLS`);
}
