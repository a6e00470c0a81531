import { errors, type JWTVerifyGetKey, jwtVerify } from 'jose';
import {
  type CallContext,
  ServerError,
  type ServerMiddleware,
  type ServerMiddlewareCall,
  Status,
} from 'nice-grpc-common';

/** Which tokens are accepted, and what they allow. */
export interface TokenOptions {
  /** The issuer's keys, such as `createRemoteJWKSet(new URL('https://issuer.example/.well-known/jwks.json'))`. */
  keys: JWTVerifyGetKey;
  issuer: string;
  audience: string;
  /** The scope that a call needs, by the method's path; a method that is not listed is denied to everybody. */
  scopes: ReadonlyMap<string, string>;
  /** Paths that need no token: health for probes, for example. */
  exempt: ReadonlySet<string>;
}

/** Added for services. */
export interface Authenticated {
  /** The caller: the token's subject (`sub`). Undefined for exempt methods. */
  subject: string | undefined;
}

/** Only asymmetric signatures, so that a server that verifies tokens cannot issue them. */
const algorithms = ['RS256', 'PS256', 'ES256', 'EdDSA'];

/**
 * Lets a call through if it has a JSON Web Token in `authorization: Bearer …` (RFC 6750) with the scope (RFC 8693
 * section 4.2) of its method. Without a valid token the call ends with UNAUTHENTICATED, without the scope with
 * PERMISSION_DENIED, and with UNAVAILABLE if the issuer's keys cannot be fetched.
 */
export function requireToken({ keys, issuer, audience, scopes, exempt }: TokenOptions) {
  const options = { issuer, audience, algorithms, requiredClaims: ['exp', 'sub'] };

  const middleware: ServerMiddleware<Authenticated> = async function* <Req, Res>(
    call: ServerMiddlewareCall<Req, Res, Authenticated>,
    context: CallContext,
  ) {
    const { path } = call.method;
    const subject = exempt.has(path) ? undefined : await authorized(path, context);
    return yield* call.next(call.request, { ...context, subject });
  };
  return middleware;

  async function authorized(path: string, { metadata }: CallContext): Promise<string | undefined> {
    const [, token] = /^Bearer +(\S+)$/i.exec(metadata.get('authorization') ?? '') ?? [];
    if (token === undefined) throw new ServerError(Status.UNAUTHENTICATED, 'Missing bearer token');
    const { sub, scope } = await verified(token);
    const needed = scopes.get(path);
    const granted = typeof scope === 'string' ? scope.split(' ') : [];
    if (needed === undefined || !granted.includes(needed)) {
      const what = needed === undefined ? 'Method is not allowed' : `Missing scope "${needed}"`;
      throw new ServerError(Status.PERMISSION_DENIED, what);
    }
    return sub;
  }

  async function verified(token: string) {
    try {
      const { payload } = await jwtVerify(token, keys, options);
      return payload;
    } catch (error) {
      if (!isOfToken(error)) {
        // The cause goes to the log only.
        const unavailable = new ServerError(Status.UNAVAILABLE, 'Cannot verify tokens');
        throw Object.assign(unavailable, { cause: error });
      }
      throw new ServerError(Status.UNAUTHENTICATED, `Invalid bearer token: ${error.code}`);
    }
  }
}

/** True if the token is invalid, and false if the issuer's keys cannot be fetched. */
function isOfToken(error: unknown): error is errors.JOSEError {
  const isOfKeys = error instanceof errors.JWKSTimeout || error instanceof errors.JWKSInvalid;
  return error instanceof errors.JOSEError && !isOfKeys;
}
