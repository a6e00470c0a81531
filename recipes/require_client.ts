import {
  type CallContext,
  ServerError,
  type ServerMiddleware,
  type ServerMiddlewareCall,
  Status,
} from 'nice-grpc-common';
import type { Connected } from '../src/context.ts';

/** Which clients may call what. */
export interface ClientOptions {
  /**
   * The clients that may call a method, by the method's path; a method that is not listed is denied to everybody. A client
   * is the name in its certificate: the first URI, such as a SPIFFE id, else the first DNS name, else the common name.
   */
  clients: ReadonlyMap<string, ReadonlySet<string>>;
  /** Paths that anybody may call. */
  exempt: ReadonlySet<string>;
}

/**
 * Accepts a call if the client's certificate has a name that may call the method. The server needs
 * `--tls-client-ca-file`, with which TLS verifies certificates. A call without a certificate ends with
 * UNAUTHENTICATED, one with another name with PERMISSION_DENIED.
 */
export function requireClient({ clients, exempt }: ClientOptions) {
  const middleware: ServerMiddleware<{}, Connected> = <Req, Res>(
    call: ServerMiddlewareCall<Req, Res, Connected>,
    context: CallContext & Connected,
  ) => {
    const { path } = call.method;
    if (!exempt.has(path)) check(path, context.connection?.tls?.client);
    return call.next(call.request, context);
  };
  return middleware;

  function check(path: string, client: string | undefined): void {
    if (client === undefined) {
      throw new ServerError(Status.UNAUTHENTICATED, 'Missing client certificate');
    }
    if (!clients.get(path)?.has(client)) {
      throw new ServerError(Status.PERMISSION_DENIED, 'Client is not allowed to call this method');
    }
  }
}
