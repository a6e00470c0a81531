import { type Metadata, ServerError, Status } from 'nice-grpc-common';
import { BadRequest, RetryInfo } from './gen/google/rpc/error_details.ts';
import { Status as RichStatus } from './gen/google/rpc/status.ts';

/** Trailers by their names; bytes for those that end in `-bin`. */
type Trailers = Readonly<Record<string, string | Uint8Array>>;

/** A ServerError whose trailers say more than a code and a message can. */
export class RichError extends ServerError {
  readonly trailers: Trailers;

  constructor(code: Status, message: string, trailers: Trailers) {
    super(code, message);
    this.name = 'RichError';
    this.trailers = trailers;
  }

  /** Puts what it says into the trailers of its call. */
  tell(trailer: Metadata): void {
    for (const [name, value] of Object.entries(this.trailers)) trailer.set(name, value);
  }
}

/** INVALID_ARGUMENT with a google.rpc.BadRequest that names the field and the rule it breaks. */
export function badRequest(field: string, rule: string): RichError {
  const status = {
    code: Status.INVALID_ARGUMENT,
    message: `Cannot accept "${field}": ${rule}`,
  };
  const detail = BadRequest.encode({ fieldViolations: [{ field, description: rule }] }).finish();
  return new RichError(status.code, status.message, details(status, 'BadRequest', detail));
}

/** Callers that are refused together are told to come back apart, in milliseconds. */
const retryDelays = [500, 750, 1000, 1250, 1500];

/**
 * Makes RESOURCE_EXHAUSTED errors of one message, with a google.rpc.RetryInfo and with
 * `grpc-retry-pushback-ms`, which says the same to a client's own retries.
 */
export function createBusy(message: string): () => RichError {
  const status = { code: Status.RESOURCE_EXHAUSTED, message };
  // Made once: who is overloaded has no time for it.
  const all = retryDelays.map((ms) => {
    const retryDelay = { seconds: Math.trunc(ms / 1000), nanos: (ms % 1000) * 1e6 };
    const detail = RetryInfo.encode({ retryDelay }).finish();
    return { ...details(status, 'RetryInfo', detail), 'grpc-retry-pushback-ms': String(ms) };
  });
  let turn = 0;
  return () => new RichError(status.code, message, all[turn++ % all.length] ?? {});
}

/** A google.rpc.Status, where gRPC has it (https://grpc.io/docs/guides/error/). */
function details(
  status: { code: Status; message: string },
  type: 'BadRequest' | 'RetryInfo',
  value: Uint8Array,
): Trailers {
  const detail = { typeUrl: `type.googleapis.com/google.rpc.${type}`, value: Buffer.from(value) };
  const bytes = RichStatus.encode({ ...status, details: [detail] }).finish();
  return { 'grpc-status-details-bin': bytes };
}
