import { Code, ConnectError } from '@connectrpc/connect';
import type { WebRequest } from '../engine/index.ts';

/** Throws RESOURCE_EXHAUSTED if the server is short of memory, before the body is read. */
export function assertAdmitted(request: Pick<WebRequest, 'admits'>): void {
  if (request.admits(0)) return;
  throw new ConnectError(
    'Cannot accept more calls: too many bytes are buffered',
    Code.ResourceExhausted,
  );
}
