// oxlint-disable no-underscore-dangle -- grpc-js names so what servers may know of credentials, and has types for it
import type { ServerCredentials } from '@grpc/grpc-js';
import type { ListenAddress } from './listeners.ts';
import type { TlsFiles } from './tls_options.ts';

/** Parses an address as nice-grpc accepts it: `HOST:PORT`, `[V6]:PORT` or `unix:PATH`. Throws for anything else. */
export function addressOf(text: string): ListenAddress {
  const { path } = /^unix:(?:\/\/(?=\/))?(?<path>.+)$/.exec(text)?.groups ?? {};
  if (path !== undefined) return { path };
  const { v6, name, port } =
    /^(?:\[(?<v6>[^[\]]+)\]|(?<name>[^:[\]]+)):(?<port>\d{1,5})$/.exec(text)?.groups ?? {};
  const host = v6 ?? name;
  if (host === undefined || Number(port) > 65_535) {
    throw new Error(
      `Cannot listen on "${text}": an address is "HOST:PORT", "[V6]:PORT" or "unix:PATH"`,
    );
  }
  return { host, port: Number(port) };
}

/** The TLS files of credentials; undefined for plaintext. Throws for credentials that TlsFiles cannot express. */
export function tlsFilesOf(given: TlsFiles | ServerCredentials | undefined): TlsFiles | undefined {
  if (!given || !isCredentials(given)) return given;
  if (given._getInterceptors().length > 0) throw unusable('they have interceptors');
  if (!given._isSecure()) return undefined;
  const { cert, key, ca } = given._getSecureContextOptions() ?? {};
  const files = { cert: onlyOne(cert), key: onlyOne(key) };
  if (!files.cert || !files.key) throw unusable('they must have one certificate and its key');
  const { requestCert, rejectUnauthorized } = given._getConstructorOptions() ?? {};
  if (!requestCert) return { cert: files.cert, key: files.key };
  const clientCa = onlyOne(ca);
  if (!clientCa || rejectUnauthorized === false) {
    throw unusable('where clients show certificates, one file must say who signs them');
  }
  return { cert: files.cert, key: files.key, clientCa };
}

function isCredentials(given: TlsFiles | ServerCredentials): given is ServerCredentials {
  return '_isSecure' in given;
}

function onlyOne(given: unknown): string | Buffer | undefined {
  const all: unknown[] = Array.isArray(given) ? given : [given];
  const [one] = all;
  return all.length === 1 && (typeof one === 'string' || Buffer.isBuffer(one)) ? one : undefined;
}

function unusable(rule: string): Error {
  return new Error(`Cannot serve with these credentials: ${rule}`);
}
