const pod = 'spec.template.spec';
const container = `${pod}.containers.0`;

/** One thing that is made wrong: `to` is what then stands at `path` in the first object of a kind. */
export interface Mutation {
  what: string;
  kind: string;
  path: string;
  to?: unknown;
}

/** What kube-score tells as well. */
export const unconfined: Mutation = {
  what: 'a container without security context',
  kind: 'Deployment',
  path: `${container}.securityContext`,
};

/** What a schema tells, in these words among others. */
export const invalid: readonly (Mutation & { problem: string })[] = [
  {
    what: 'a misspelt field',
    kind: 'Deployment',
    path: 'spec.minReadySecond',
    to: 5,
    problem: "'minReadySecond' not allowed",
  },
  {
    what: 'a named port in a gRPC probe',
    kind: 'Deployment',
    path: `${container}.readinessProbe.grpc.port`,
    to: 'health',
    problem: 'got string, want integer',
  },
  {
    what: 'a version that no Kubernetes has',
    kind: 'Job',
    path: 'apiVersion',
    to: 'batch/v3',
    problem: 'could not find schema',
  },
  {
    what: 'a misspelt field of a kind of cert-manager',
    kind: 'Certificate',
    path: 'spec.dnsName',
    to: [],
    problem: "'dnsName' not allowed",
  },
  {
    what: 'a misspelt field of a kind of Gateway API',
    kind: 'GRPCRoute',
    path: 'spec.rules.0.backendRefs.0.prot',
    to: 50051,
    problem: "'prot' not allowed",
  },
  {
    what: 'misspelt metadata of a kind of the Prometheus operator',
    kind: 'PodMonitor',
    path: 'metadata.label',
    to: {},
    problem: "'label' not allowed",
  },
];

/** What our own rules tell, in these words. */
export const wrong: readonly (Mutation & { problem: string })[] = [
  {
    what: 'a PodDisruptionBudget without selector',
    kind: 'PodDisruptionBudget',
    path: 'spec.selector',
    problem: 'PodDisruptionBudget selects no pod of ours',
  },
  {
    what: 'a Service that selects what is not there',
    kind: 'Service',
    path: 'spec.selector',
    to: { app: 'greeter' },
    problem: 'Service selects no pod of ours',
  },
  {
    what: 'a NetworkPolicy without selector',
    kind: 'NetworkPolicy',
    path: 'spec.podSelector',
    to: {},
    problem: 'NetworkPolicy selects no pod of ours',
  },
  {
    what: 'a PodMonitor of a port that is not there',
    kind: 'PodMonitor',
    path: 'spec.podMetricsEndpoints.0.port',
    to: 'metrics',
    problem: 'PodMonitor wants port "metrics", which its pods do not have',
  },
  {
    what: 'an autoscaler of nothing',
    kind: 'HorizontalPodAutoscaler',
    path: 'spec.scaleTargetRef.name',
    to: 'server',
    problem: 'HorizontalPodAutoscaler names Deployment server, which is not there',
  },
  {
    what: 'a route to nowhere',
    kind: 'GRPCRoute',
    path: 'spec.rules.0.backendRefs.0.port',
    to: 50050,
    problem: 'GRPCRoute names Service greeter:50050, which is not there',
  },
  {
    what: 'a Certificate for another Secret',
    kind: 'Certificate',
    path: 'spec.secretName',
    to: 'tls',
    problem: 'Deployment names Secret greeter-tls, which is not there',
  },
  {
    what: 'a budget that keeps pods which are not ready',
    kind: 'PodDisruptionBudget',
    path: 'spec.unhealthyPodEvictionPolicy',
    problem: 'PodDisruptionBudget: keeps pods that are not ready',
  },
  {
    what: 'a probe of a port that is not declared',
    kind: 'Deployment',
    path: `${container}.livenessProbe.grpc.port`,
    to: 50053,
    problem: 'greeter: probes 50053, which it does not declare',
  },
  {
    ...unconfined,
    problem: 'greeter: is not confined by readOnlyRootFilesystem',
  },
  {
    what: 'a pod without security context',
    kind: 'Job',
    path: `${pod}.securityContext`,
    problem: 'health: is not confined by runAsNonRoot',
  },
  {
    what: 'a mount by subPath',
    kind: 'Deployment',
    path: `${container}.volumeMounts.0.subPath`,
    to: 'tls.crt',
    problem: 'greeter: mounts "tls" by subPath',
  },
  {
    what: 'a container whose last words are lost',
    kind: 'Deployment',
    path: `${container}.terminationMessagePolicy`,
    problem: 'greeter: does not say in its status why it ended',
  },
  {
    what: 'h2c where there is TLS',
    kind: 'Service',
    path: 'spec.ports.1.appProtocol',
    to: 'kubernetes.io/h2c',
    problem: 'greeter: says h2c of ports with TLS',
  },
];
