import { checkPair, type PemFile } from '../certificates.ts';
import { messageOf } from '../message_of.ts';
import type { TracingSettings } from '../observability/trace.ts';
import {
  attributeLimit,
  authorities,
  headers,
  httpUrl,
  isOn,
  otlp,
  pairs,
  propagators,
  protocol,
  ratio,
  samplers,
  shownUrl,
  tracesUnder,
  word,
} from './otel.ts';
import { integer, type Parse, pemFile } from './parse.ts';

/** A warning about a variable that is set for a whole cluster and must not prevent the start. */
export interface Complaint {
  readonly level: 'warn' | 'error';
  readonly message: string;
  /** The variable, its value, and the rule. */
  readonly reason: string;
}

const keyPair = 'OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE, OTEL_EXPORTER_OTLP_CLIENT_KEY';

const hourMs = 3_600_000;
const million = 1_000_000;

/**
 * Reads OpenTelemetry's environment variables; undefined if tracing is disabled. An invalid word or number is
 * replaced by the default, with a warning; if spans could not be sent, or would go to the wrong place, tracing is
 * disabled. https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables
 */
export function readTracing(
  env: Readonly<Record<string, string | undefined>>,
  complain: (complaint: Complaint) => void,
): TracingSettings | undefined {
  if (!isOn(env)) return undefined;
  const unusable: string[] = [];
  read(['OTEL_SDK_DISABLED'], { fallback: 'false', parse: word('true', 'false') });
  read(['OTEL_TRACES_EXPORTER'], { fallback: 'otlp', parse: word('otlp', 'none') });
  read(['OTEL_PROPAGATORS'], { fallback: 'tracecontext', parse: propagators });
  const file = { fallback: 'off', parse: pemFile, isNeeded: true };
  const clientCertificate = read(otlp('CLIENT_CERTIFICATE'), file);
  const clientKey = read(otlp('CLIENT_KEY'), file);
  if (unusable.length === 0) unusable.push(...pairProblems(clientCertificate, clientKey));
  const maxQueueSize = read(['OTEL_BSP_MAX_QUEUE_SIZE'], {
    fallback: '2048',
    parse: integer(1, million),
  });
  const [ofTraces = '', ofAll = ''] = otlp('ENDPOINT');
  const config: TracingSettings = {
    url: env[ofTraces]
      ? read([ofTraces], {
          fallback: anywhere,
          parse: (text) => httpUrl(text).href,
          show: shownUrl,
          isNeeded: true,
        })
      : read([ofAll], {
          fallback: anywhere,
          parse: tracesUnder,
          show: shownUrl,
          isNeeded: true,
        }),
    headers: read(otlp('HEADERS'), {
      fallback: '',
      parse: headers,
      show: () => undefined,
      isNeeded: true,
    }),
    protocol: read(otlp('PROTOCOL'), { fallback: 'http/protobuf', parse: protocol }),
    compression: read(otlp('COMPRESSION'), { fallback: 'none', parse: word('none', 'gzip') }),
    timeout: read(otlp('TIMEOUT'), { fallback: '10000', parse: integer(1, hourMs) }),
    ca: read(otlp('CERTIFICATE'), { fallback: 'off', parse: authorities, isNeeded: true }),
    clientCertificate,
    clientKey,
    resource: {
      'service.name': 'greeter',
      ...read(['OTEL_RESOURCE_ATTRIBUTES'], { fallback: '', parse: pairs }),
      ...read(['OTEL_SERVICE_NAME'], {
        fallback: '',
        parse: (text) => (text ? { 'service.name': text } : {}),
      }),
    },
    sampler: read(['OTEL_TRACES_SAMPLER'], {
      fallback: 'parentbased_always_on',
      parse: word(...samplers),
    }),
    samplerRatio: read(['OTEL_TRACES_SAMPLER_ARG'], { fallback: '1', parse: ratio }),
    scheduleDelay: read(['OTEL_BSP_SCHEDULE_DELAY'], {
      fallback: '5000',
      parse: integer(1, hourMs),
    }),
    exportTimeout: read(['OTEL_BSP_EXPORT_TIMEOUT'], {
      fallback: '30000',
      parse: integer(1, hourMs),
    }),
    maxQueueSize,
    maxExportBatchSize: read(['OTEL_BSP_MAX_EXPORT_BATCH_SIZE'], {
      fallback: String(Math.min(512, maxQueueSize)),
      parse: integer(1, maxQueueSize),
    }),
    spanLimits: {
      attributeCountLimit: read(attributeLimit('COUNT'), {
        fallback: '128',
        parse: integer(0, million),
      }),
      attributeValueLengthLimit: read(attributeLimit('VALUE_LENGTH'), {
        // The specification has no limit; no attribute comes near this one.
        fallback: String(million),
        parse: integer(0, million),
      }),
    },
  };
  if (unusable.length === 0) return config;
  complain({ level: 'error', message: 'tracing is off', reason: unusable.join('; ') });
  return undefined;

  /** Reads the first variable that is set and not empty. */
  function read<T>(names: readonly string[], variable: Variable<T>): T {
    const { fallback, parse, show = (value) => value, isNeeded } = variable;
    const name = names.find((each) => env[each]);
    const text = name && env[name];
    if (!text) return parse(fallback);
    try {
      return parse(text);
    } catch (error) {
      const shown = show(text);
      const said = shown === undefined ? '' : ` "${shown}"`;
      const reason = `${name}${said}: ${messageOf(error)}`;
      if (isNeeded) unusable.push(reason);
      else complain({ level: 'warn', message: 'the default is used', reason });
      return parse(fallback);
    }
  }
}

interface Variable<T> {
  /** The value to parse if none is set; must be valid. */
  fallback: string;
  parse: Parse<T>;
  /** The part of the value that may be shown; undefined for nothing. */
  show?: (text: string) => string | undefined;
  /** True if tracing is disabled when the value is invalid. */
  isNeeded?: boolean;
}

const anywhere = 'http://localhost:4318';

function pairProblems(cert: PemFile | undefined, key: PemFile | undefined): string[] {
  if (!cert !== !key) return [`${keyPair}: must be given together`];
  if (!cert || !key) return [];
  try {
    checkPair({ cert: cert.pem, key: key.pem });
    return [];
  } catch (error) {
    return [`${keyPair}: ${messageOf(error)}`];
  }
}
