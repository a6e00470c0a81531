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

/** Options of the HTTP transport. */
export interface TransportOptions {
  url: string;
  /** HTTP headers of each batch. */
  headers: Readonly<Record<string, string>>;
  compression: 'none' | 'gzip';
  agent: Agent;
  /** Returns 0 to 1: jitter, so that servers do not retry at the same time. */
  random?: () => number;
}

/** The maximum number of attempts per batch. */
const maxAttempts = 6;
const firstBackoffMs = 1000;
const longestBackoffMs = 5000;
/** The minimum delay before a retry in milliseconds, whatever `Retry-After` says. */
const minWaitMs = 1000;
/** The maximum size of a response in bytes; a longer one is not from a collector. */
const longestResponse = 4 * 1024 ** 2;
/** The retryable status codes of OTLP/HTTP; with others the same batch would fail again. */
const retryable: ReadonlySet<number | undefined> = new Set([429, 502, 503, 504]);

/**
 * Posts batches over HTTP, with retries. OpenTelemetry's own transport retries at once after a `Retry-After` of 0 or
 * in the past, and makes Node warn of negative timer durations.
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

/** True for network errors, which may pass, unlike an invalid certificate or response. */
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

/** Parses seconds or a date (RFC 9110 section 10.2.3) to milliseconds from now; undefined if invalid. */
function retryAfter(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = /^\s*-?\d+\s*$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isNaN(ms) ? undefined : ms;
}
