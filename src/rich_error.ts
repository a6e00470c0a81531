import { type Metadata, ServerError, Status } from 'nice-grpc-common';
import { BadRequest, RetryInfo } from './gen/google/rpc/error_details.ts';
import { Status as RichStatus } from './gen/google/rpc/status.ts';

/** Trailers by name; bytes for names that end with `-bin`. */
type Trailers = Readonly<Record<string, string | Uint8Array>>;

/** A ServerError with details in its trailers. */
export class RichError extends ServerError {
  readonly trailers: Trailers;

  constructor(code: Status, message: string, trailers: Trailers) {
    super(code, message);
    this.name = 'RichError';
    this.trailers = trailers;
  }

  /** Adds the details to the trailers of a call. */
  tell(trailer: Metadata): void {
    for (const [name, value] of Object.entries(this.trailers)) trailer.set(name, value);
  }
}

/** INVALID_ARGUMENT with google.rpc.BadRequest, which names the field and the rule that it breaks. */
export function badRequest(field: string, rule: string): RichError {
  const status = {
    code: Status.INVALID_ARGUMENT,
    message: `Cannot accept "${field}": ${rule}`,
  };
  const detail = BadRequest.encode({ fieldViolations: [{ field, description: rule }] }).finish();
  return new RichError(status.code, status.message, details(status, 'BadRequest', detail));
}

/** How soon a client may retry, in milliseconds. */
interface RetryDelays {
  /** For gRPC's built-in retries: `grpc-retry-pushback-ms`. */
  pushback?: number | undefined;
  /** For other clients: google.rpc.RetryInfo. */
  retryInfo?: number | undefined;
}

/** An error with retry delays in its trailers. */
export function retryable(
  status: { code: Status; message: string },
  { pushback, retryInfo }: RetryDelays,
): RichError {
  return new RichError(status.code, status.message, {
    ...(retryInfo !== undefined && details(status, 'RetryInfo', retryInfoOf(retryInfo))),
    ...(pushback !== undefined && { 'grpc-retry-pushback-ms': String(pushback) }),
  });
}

function retryInfoOf(ms: number): Uint8Array {
  const retryDelay = { seconds: Math.trunc(ms / 1000), nanos: (ms % 1000) * 1e6 };
  return RetryInfo.encode({ retryDelay }).finish();
}

/** Retry delays in milliseconds; several, so that refused callers do not return together. */
const retryDelays = [500, 750, 1000, 1250, 1500];

/**
 * Creates RESOURCE_EXHAUSTED errors with one message, google.rpc.RetryInfo, and the same delay as
 * `grpc-retry-pushback-ms` for gRPC's built-in retries.
 */
export function createBusy(message: string): () => RichError {
  const status = { code: Status.RESOURCE_EXHAUSTED, message };
  // Created once, as it must be cheap under load.
  const all = retryDelays.map((ms) => retryable(status, { pushback: ms, retryInfo: ms }).trailers);
  let turn = 0;
  return () => new RichError(status.code, message, all[turn++ % all.length] ?? {});
}

/** A google.rpc.Status as `grpc-status-details-bin` (https://grpc.io/docs/guides/error/). */
function details(
  status: { code: Status; message: string },
  type: 'BadRequest' | 'RetryInfo',
  value: Uint8Array,
): Trailers {
  const detail = { typeUrl: `type.googleapis.com/google.rpc.${type}`, value: Buffer.from(value) };
  const bytes = RichStatus.encode({ ...status, details: [detail] }).finish();
  return { 'grpc-status-details-bin': bytes };
}
