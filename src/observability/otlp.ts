import { Agent } from 'node:http';
import { Agent as TlsAgent } from 'node:https';
import {
  createOtlpNetworkExportDelegate,
  OTLPExporterBase,
} from '@opentelemetry/otlp-exporter-base';
import { createOtlpHttpExporterMetrics } from '@opentelemetry/otlp-exporter-base/node-http';
import {
  JsonTraceSerializer,
  ProtobufTraceSerializer,
  TraceExporterMetricsHelper,
} from '@opentelemetry/otlp-transformer';
import type { SpanExporter } from '@opentelemetry/sdk-trace';
import type { PemFile } from '../certificates.ts';
import { createTransport } from './otlp_transport.ts';

/** Where batches of spans go, and how. */
export interface ExporterOptions {
  /** A password may be in it. */
  url: string;
  /** Sent with each batch; may be secret. */
  headers: Readonly<Record<string, string>>;
  protocol: 'http/protobuf' | 'http/json';
  compression: 'none' | 'gzip';
  /** Milliseconds for a batch, with every retry. */
  timeout: number;
  /** PEM, where the URL begins with https. */
  ca: Pem;
  clientCertificate: Pem;
  clientKey: Pem;
}

type Pem = Pick<PemFile, 'pem'> | undefined;

/** As many batches may be on their way at once; in steady running it is one. */
const concurrencyLimit = 30;

/**
 * Posts spans to a collector, and tries again when it is away. The exporters that are packages of their
 * own read the process's environment; what is in them is used here, and takes all it needs as options.
 */
export function createExporter(options: ExporterOptions): SpanExporter {
  const { url, headers, compression, timeout } = options;
  const isJson = options.protocol === 'http/json';
  const contentType = isJson ? 'application/json' : 'application/x-protobuf';
  const delegate = createOtlpNetworkExportDelegate(
    { timeoutMillis: timeout, concurrencyLimit, compression },
    isJson ? JsonTraceSerializer : ProtobufTraceSerializer,
    createOtlpHttpExporterMetrics(
      'otlp_http_span_exporter',
      TraceExporterMetricsHelper,
      url,
      undefined,
    ),
    createTransport({
      url,
      headers: { 'user-agent': 'greeter', ...headers, 'content-type': contentType },
      compression,
      agent: agentFor(options),
    }),
  );
  return new OTLPExporterBase(delegate);
}

function agentFor({ url, ca, clientCertificate, clientKey }: ExporterOptions): Agent {
  if (!url.startsWith('https:')) return new Agent({ keepAlive: true });
  return new TlsAgent({
    keepAlive: true,
    ...(ca && { ca: ca.pem }),
    ...(clientCertificate && { cert: clientCertificate.pem }),
    ...(clientKey && { key: clientKey.pem }),
  });
}
