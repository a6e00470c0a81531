import { type Agent, type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import {
  type ExportResponse,
  type IExporterTransport,
  OTLPExporterError,
} from '@opentelemetry/otlp-exporter-base';

/** How batches are posted. */
export interface TransportOptions {
  url: string;
  /** Sent with each batch. */
  headers: Readonly<Record<string, string>>;
  compression: 'none' | 'gzip';
  agent: Agent;
  /** From 0 to 1: servers that lost their collector together do not all come back at once. */
  random?: () => number;
}

/** A batch is posted so often at most. */
const maxAttempts = 6;
const firstBackoffMs = 1000;
const longestBackoffMs = 5000;
/** A collector that is too busy gets at least so long, whatever it says. */
const minWaitMs = 1000;
/** Bytes; a longer response can only be that of something else. */
const longestResponse = 4 * 1024 ** 2;
/** By the specification of OTLP/HTTP; others say that the same batch would fail again. */
const retryable: ReadonlySet<number | undefined> = new Set([429, 502, 503, 504]);

/**
 * Posts over HTTP, and again where that may help. OpenTelemetry's own transport takes a `Retry-After` of 0,
 * or of a time that has passed, for at once, and has Node warn of timers with negative durations.
 * https://opentelemetry.io/docs/specs/otlp/#otlphttp-response
 */
export function createTransport(options: TransportOptions): IExporterTransport {
  const { random = Math.random } = options;
  return { send, shutdown: () => options.agent.destroy() };

  async function send(batch: Uint8Array, timeoutMs: number): Promise<ExportResponse> {
    const end = performance.now() + timeoutMs;
    const body = options.compression === 'gzip' ? await promisify(gzip)(batch) : batch;
    let backoff = firstBackoffMs;
    for (let attempt = 1; ; attempt++) {
      const left = end - performance.now();
      const response = await post(body, options, left);
      if (response.status !== 'retryable' || attempt === maxAttempts) return response;
      const { retryInMillis = backoff * (0.8 + 0.4 * random()) } = response;
      const wait = Math.max(minWaitMs, retryInMillis);
      if (performance.now() + wait > end) return response;
      await sleep(wait);
      backoff = Math.min(longestBackoffMs, backoff * 1.5);
    }
  }
}

async function post(
  body: Uint8Array,
  { url, headers, compression, agent }: TransportOptions,
  timeoutMs: number,
): Promise<ExportResponse> {
  const signal = AbortSignal.timeout(Math.max(1, Math.ceil(timeoutMs)));
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const request = url.startsWith('https:') ? requestHttps : requestHttp;
      const encoding = compression === 'gzip' ? { 'content-encoding': 'gzip' } : {};
      const all = { ...headers, ...encoding, 'content-length': body.length };
      request(url, { method: 'POST', headers: all, agent, signal }, resolve)
        .on('error', reject)
        .end(body);
    });
    return await outcomeOf(response);
  } catch (thrown) {
    if (signal.aborted) {
      return { status: 'retryable', error: new Error('the collector takes too long') };
    }
    const error = thrown instanceof Error ? thrown : new Error(String(thrown));
    return { status: isOfTheSystem(error) ? 'retryable' : 'failure', error };
  }
}

/** The network may do otherwise next time; a certificate or a response that cannot be read stays what it is. */
function isOfTheSystem(error: NodeJS.ErrnoException): boolean {
  return /^E(?!RR_)/.test(error.code ?? '');
}

async function outcomeOf(response: IncomingMessage): Promise<ExportResponse> {
  const { statusCode = 0, statusMessage } = response;
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > longestResponse) {
      return { status: 'failure', error: new Error('Cannot read a response of more than 4 MiB') };
    }
  }
  if (statusCode >= 200 && statusCode < 300) {
    return { status: 'success', data: Buffer.concat(chunks) };
  }
  const error = new OTLPExporterError(statusMessage, statusCode);
  if (!retryable.has(statusCode)) return { status: 'failure', error };
  const retryInMillis = retryAfter(response.headers['retry-after']);
  return { status: 'retryable', error, ...(retryInMillis !== undefined && { retryInMillis }) };
}

/** Seconds, or a date (RFC 9110 section 10.2.3), as milliseconds from now; undefined for neither. */
function retryAfter(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = /^\s*-?\d+\s*$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isNaN(ms) ? undefined : ms;
}
