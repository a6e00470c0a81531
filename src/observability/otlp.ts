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

/** The collector and how to reach it. */
export interface ExporterOptions {
  /** A password may be in it. */
  url: string;
  /** HTTP headers of each batch; may be secret. */
  headers: Readonly<Record<string, string>>;
  protocol: 'http/protobuf' | 'http/json';
  compression: 'none' | 'gzip';
  /** The time limit of a batch in milliseconds, including retries. */
  timeout: number;
  /** PEM, for https URLs. */
  ca: Pem;
  clientCertificate: Pem;
  clientKey: Pem;
}

type Pem = Pick<PemFile, 'pem'> | undefined;

/** The maximum number of concurrent batches; usually there is one. */
const concurrencyLimit = 30;

/**
 * Creates an exporter that posts spans to a collector and retries. OpenTelemetry's exporter packages read the
 * process's environment; this uses their parts and takes everything as options.
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
