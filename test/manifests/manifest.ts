/** Labels, and what selects by them. */
export type Labels = Readonly<Record<string, string>>;

/** What is read here of an object of Kubernetes, of any kind. */
export interface Manifest {
  kind: string;
  metadata: { name: string; namespace?: string };
  spec?: Spec;
}

/** What kinds have in their `spec`. A Service's selector is labels, the others' has them within. */
interface Spec {
  template?: Template;
  selector?: Labels & { matchLabels?: Labels };
  podSelector?: { matchLabels?: Labels };
  ports?: readonly ServicePort[];
  unhealthyPodEvictionPolicy?: string;
  podMetricsEndpoints?: readonly { port: string }[];
  scaleTargetRef?: { kind: string; name: string };
  rules?: readonly { backendRefs: readonly { name: string; port: number }[] }[];
  secretName?: string;
}

interface ServicePort {
  port: number;
  targetPort: string;
  appProtocol?: string;
}

/** What a workload makes its pods of. */
interface Template {
  metadata: { labels: Labels };
  spec: {
    serviceAccountName?: string;
    securityContext?: SecurityContext;
    containers: readonly Container[];
    volumes?: readonly { name: string; secret?: { secretName: string } }[];
  };
}

/** One container of a pod. */
export interface Container {
  name: string;
  ports?: readonly { name: string; containerPort: number }[];
  startupProbe?: Probe;
  livenessProbe?: Probe;
  readinessProbe?: Probe;
  envFrom?: readonly { configMapRef: { name: string } }[];
  volumeMounts?: readonly { name: string; subPath?: string }[];
  securityContext?: SecurityContext;
  terminationMessagePolicy?: string;
  resources?: { limits?: Record<string, string> };
}

interface Probe {
  grpc: { port: number };
}

interface SecurityContext {
  runAsNonRoot?: boolean;
  seccompProfile?: { type: string };
  allowPrivilegeEscalation?: boolean;
  readOnlyRootFilesystem?: boolean;
  capabilities?: { drop?: readonly string[] };
}
