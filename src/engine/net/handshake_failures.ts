import type { HandshakeFailure, Incident } from '../http2/incident.ts';
import { handshakeTimeout } from './tls_options.ts';

/** What is left of a socket whose handshake failed. */
interface FailedSocket {
  /** Bytes received from the client. */
  bytesRead: number;
  /** OpenSSL's verification error of the client certificate, if there was one. */
  authorizationError: unknown;
}

/**
 * Maps Node's error code of a failed handshake to an incident. Returns undefined for a connection that was closed
 * before the client sent anything, as load balancers and TCP probes do.
 */
export function handshakeIncident(
  code: string | undefined,
  { bytesRead, authorizationError }: FailedSocket,
): Incident | undefined {
  // Node closes the connection of an unauthorized client with ECONNRESET.
  if (typeof authorizationError === 'string') return certificateIncident(authorizationError);
  if (code === undefined || code === 'ECONNRESET' || code === 'EPIPE') {
    // A client, such as Node's, that verifies the server certificate after sending its last handshake message.
    const message =
      'The client has disconnected during the handshake; it may not trust the certificate';
    return bytesRead === 0 ? undefined : incident('reset', message);
  }
  const known = incidents.get(code);
  if (known) return known;
  const alert = /_ALERT_(?<name>\w+)$/.exec(code)?.groups?.['name'];
  if (alert === undefined) return incident('other', `Cannot complete the handshake: ${code}`);
  const rule = `The client has refused the handshake: ${wordsOf(alert)}`;
  return incident('rejected_by_client', alert === 'UNKNOWN_CA' ? `${rule}${untrusted}` : rule);
}

const untrusted = ': it knows no issuer of the certificate, or the file lacks the intermediates';

function incident(failure: HandshakeFailure, message: string): Incident {
  return { reason: `handshake_${failure}`, message };
}

const notTls = incident('plaintext', 'Cannot accept plaintext on a TLS port');
const noCipher = incident(
  'no_shared_cipher',
  'Cannot negotiate a cipher suite, group or signature algorithm with the client',
);

const incidents: ReadonlyMap<string, Incident> = new Map([
  ['ERR_SSL_HTTP_REQUEST', notTls],
  ['ERR_SSL_HTTPS_PROXY_REQUEST', notTls],
  // The first bytes are not a TLS record, for example an HTTP/2 preface in plaintext.
  ['ERR_SSL_WRONG_VERSION_NUMBER', notTls],
  [
    'ERR_SSL_UNSUPPORTED_PROTOCOL',
    incident('old_version', 'Cannot use TLS below 1.2: the client offers no newer version'),
  ],
  ['ERR_SSL_NO_SHARED_CIPHER', noCipher],
  ['ERR_SSL_NO_SHARED_GROUP', noCipher],
  ['ERR_SSL_NO_SUITABLE_GROUPS', noCipher],
  ['ERR_SSL_NO_SUITABLE_KEY_SHARE', noCipher],
  ['ERR_SSL_NO_SUITABLE_SIGNATURE_ALGORITHM', noCipher],
  ['ERR_SSL_NO_SHARED_SIGNATURE_ALGORITHMS', noCipher],
  [
    'ERR_SSL_NO_APPLICATION_PROTOCOL',
    incident('no_shared_protocol', 'Cannot negotiate ALPN: the client does not offer h2'),
  ],
  [
    'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE',
    incident('no_client_certificate', 'Cannot serve a client without a certificate'),
  ],
  [
    'ERR_TLS_HANDSHAKE_TIMEOUT',
    incident('timeout', `Cannot wait longer than ${handshakeTimeout / 1000} s for a TLS handshake`),
  ],
]);

/** OpenSSL's errors for a chain that does not end at a configured CA. */
const unknownAuthority: ReadonlySet<string> = new Set([
  'CERT_UNTRUSTED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

const outOfDate: ReadonlySet<string> = new Set(['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID']);

function certificateIncident(code: string): Incident {
  const trust = "Cannot trust the client's certificate";
  if (unknownAuthority.has(code)) {
    const rule = 'no client authority has signed it, or an intermediate between them is left out';
    return incident('unknown_authority', `${trust}: ${rule} (${code})`);
  }
  if (outOfDate.has(code)) {
    const rule = 'it, or one that has signed it, has expired or is not valid yet';
    return incident('client_certificate_expired', `${trust}: ${rule} (${code})`);
  }
  return incident('client_certificate_refused', `${trust}: ${wordsOf(code)} (${code})`);
}

function wordsOf(code: string): string {
  return code.replaceAll('_', ' ').toLowerCase();
}
