import { ServerError, Status } from 'nice-grpc-common';
import { badRequest, type RichError } from './rich_error.ts';

/**
 * An error the caller is meant to see. Its message crosses the wire, so it
 * names what the caller can fix and never what we run on.
 */
export class CallError extends ServerError {
  constructor(code: Status, message: string, options?: ErrorOptions) {
    super(code, message);
    this.name = 'CallError';
    if (options && 'cause' in options) this.cause = options.cause;
  }
}

/** INVALID_ARGUMENT that names the field and the rule it breaks. */
export function invalidArgument(field: string, rule: string): RichError {
  return badRequest(field, rule);
}

/** NOT_FOUND that names what was asked for. */
export function notFound(kind: string, name: string): CallError {
  return new CallError(Status.NOT_FOUND, notFoundText(kind, name));
}

/** What such an error says. */
export function notFoundText(kind: string, name: string): string {
  return `Cannot find ${kind} ${quote(name)}`;
}

/** RESOURCE_EXHAUSTED that names the bound. */
export function exhausted(doing: string, bound: string): CallError {
  return new CallError(Status.RESOURCE_EXHAUSTED, `Cannot ${doing}: ${bound}`);
}

/** DEADLINE_EXCEEDED, for our own ceiling. */
export function deadlineExceeded(): CallError {
  return new CallError(Status.DEADLINE_EXCEEDED, 'Deadline exceeded');
}

/** INTERNAL, for anything we did not mean; the cause is for the log alone. */
export function internal(cause: unknown): CallError {
  return new CallError(Status.INTERNAL, 'Internal error', { cause });
}

/** What a caller sent, in quotes: status messages travel in headers, so it is cut at 100 characters. */
function quote(text: string): string {
  return text.length <= 100 ? `"${text}"` : `"${text.slice(0, 100)}"...`;
}
