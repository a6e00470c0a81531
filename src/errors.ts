import { ServerError, Status } from 'nice-grpc-common';
import { badRequest, type RichError } from './rich_error.ts';

/** An error for the caller. Its message is sent, so it names what the caller can fix and no internals. */
export class CallError extends ServerError {
  constructor(code: Status, message: string, options?: ErrorOptions) {
    super(code, message);
    this.name = 'CallError';
    if (options && 'cause' in options) this.cause = options.cause;
  }
}

/** INVALID_ARGUMENT; the message names the field and the rule that it breaks. */
export function invalidArgument(field: string, rule: string): RichError {
  return badRequest(field, rule);
}

/** NOT_FOUND; the message names what was requested. */
export function notFound(kind: string, name: string): CallError {
  return new CallError(Status.NOT_FOUND, notFoundText(kind, name));
}

/** The message of notFound(). */
export function notFoundText(kind: string, name: string): string {
  return `Cannot find ${kind} ${quote(name)}`;
}

/** RESOURCE_EXHAUSTED; the message names the limit. */
export function exhausted(doing: string, bound: string): CallError {
  return new CallError(Status.RESOURCE_EXHAUSTED, `Cannot ${doing}: ${bound}`);
}

/** DEADLINE_EXCEEDED, for the server's own limit. */
export function deadlineExceeded(): CallError {
  return new CallError(Status.DEADLINE_EXCEEDED, 'Deadline exceeded');
}

/** INTERNAL, for unexpected errors; the cause goes to the log only. */
export function internal(cause: unknown): CallError {
  return new CallError(Status.INTERNAL, 'Internal error', { cause });
}

/** Quotes a caller's text, truncated to 100 characters, as status messages are sent in header fields. */
export function quote(text: string): string {
  return text.length <= 100 ? `"${text}"` : `"${text.slice(0, 100)}"...`;
}
