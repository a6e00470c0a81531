import type { Labels, Manifest } from './manifest.ts';

/** What the objects of a build name that is not among them, and selectors that select no pod. */
export function danglingIn(objects: readonly Manifest[]): string[] {
  const there = new Set(objects.flatMap(providedBy));
  return objects.flatMap((object) => {
    const missing = namedBy(object).filter((name) => !there.has(name));
    return [
      ...missing.map((name) => `${object.kind} names ${name}, which is not there`),
      ...selectorProblems(object, objects),
    ];
  });
}

function providedBy({ kind, metadata, spec }: Manifest): string[] {
  const ports = kind === 'Service' ? (spec?.ports ?? []) : [];
  return [
    `${kind} ${metadata.name}`,
    ...ports.map(({ port }) => `Service ${metadata.name}:${port}`),
    ...(kind === 'Certificate' ? [`Secret ${spec?.secretName}`] : []),
  ];
}

function namedBy({ spec }: Manifest): string[] {
  const pod = spec?.template?.spec;
  const { kind, name } = spec?.scaleTargetRef ?? {};
  const backends = (spec?.rules ?? []).flatMap(({ backendRefs }) => backendRefs);
  const configMaps = (pod?.containers ?? []).flatMap(({ envFrom = [] }) => envFrom);
  return [
    ...(kind === undefined ? [] : [`${kind} ${name}`]),
    ...backends.map((backend) => `Service ${backend.name}:${backend.port}`),
    ...configMaps.map(({ configMapRef }) => `ConfigMap ${configMapRef.name}`),
    ...(pod?.volumes ?? []).flatMap(({ secret }) =>
      secret ? [`Secret ${secret.secretName}`] : [],
    ),
    ...(pod?.serviceAccountName === undefined ? [] : [`ServiceAccount ${pod.serviceAccountName}`]),
  ];
}

/** Kubernetes takes a selector that is empty or selects nothing, and the object does nothing. */
function selectorProblems(object: Manifest, objects: readonly Manifest[]): string[] {
  const { kind, spec } = object;
  const selector = selectorOf(object);
  if (selector === undefined) return [];
  const labels = Object.entries(selector);
  const pods = objects
    .flatMap((other) => other.spec?.template ?? [])
    .filter(({ metadata }) => labels.every(([key, value]) => metadata.labels[key] === value));
  if (labels.length === 0 || pods.length === 0) return [`${kind} selects no pod of ours`];

  const open = pods
    .flatMap((pod) => pod.spec.containers)
    .flatMap(({ ports = [] }) => ports.map(({ name }) => name));
  const wanted = [
    ...(spec?.ports ?? []).map(({ targetPort }) => targetPort),
    ...(spec?.podMetricsEndpoints ?? []).map(({ port }) => port),
  ];
  return wanted
    .filter((port) => !open.includes(port))
    .map((port) => `${kind} wants port "${port}", which its pods do not have`);
}

/** An empty one where it is missing; undefined for a kind that selects nothing. */
function selectorOf({ kind, spec }: Manifest): Labels | undefined {
  switch (kind) {
    case 'Service':
      return spec?.selector ?? {};
    case 'NetworkPolicy':
      return spec?.podSelector?.matchLabels ?? {};
    case 'Deployment':
    case 'PodDisruptionBudget':
    case 'PodMonitor':
      return spec?.selector?.matchLabels ?? {};
    default:
      return undefined;
  }
}
