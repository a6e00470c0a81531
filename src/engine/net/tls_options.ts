import type { SecureContextOptions, TlsOptions } from 'node:tls';

/** TLS certificate files, in PEM. */
export interface TlsFiles {
  cert: string | Buffer;
  key: string | Buffer;
  /** The CA of client certificates. With it, every client needs one. */
  clientCa?: string | Buffer | undefined;
}

/** The maximum time of a handshake, in milliseconds. */
export const handshakeTimeout = 10_000;

/**
 * Options of a TLS server for HTTP/2, and for HTTP/1.1 if it is served. Whether client certificates are required cannot
 * be changed later.
 */
export function tlsOptions(files: TlsFiles, { speaksHttp1 } = { speaksHttp1: false }): TlsOptions {
  return {
    ...secureOptions(files),
    // A client that offers only other protocols is refused with no_application_protocol. A client without ALPN is
    // accepted, as proxies and old gRPC clients may not send it; its first bytes show which protocol it speaks.
    // The server reports h2, which grpc-go requires since 1.67.
    ALPNProtocols: speaksHttp1 ? ['h2', 'http/1.1'] : ['h2'],
    handshakeTimeout,
    ...(files.clientCa && { requestCert: true, rejectUnauthorized: true }),
  };
}

/**
 * The options that can change while connections are open. RFC 9113 section 9.2 requires TLS 1.2 or higher, no
 * renegotiation, and for TLS 1.2 no cipher suite of appendix A. With client certificates, sessions are not resumed;
 * see noResumption().
 */
export function secureOptions({ cert, key, clientCa }: TlsFiles): SecureContextOptions {
  const { constants } = process.getBuiltinModule('node:crypto');
  return {
    cert,
    key,
    ca: clientCa,
    minVersion: 'TLSv1.2',
    ciphers,
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION | (clientCa ? noResumption() : 0),
  };
}

/**
 * Disables session resumption. A resumed session is not verified again, so a client would be served after its
 * certificate has expired. Without tickets, OpenSSL asks a session cache, for TLS 1.3 too, and Node's is empty unless
 * there are listeners of `newSession` and `resumeSession`.
 */
export function noResumption(): number {
  return process.getBuiltinModule('node:crypto').constants.SSL_OP_NO_TICKET;
}

/** Only suites with ephemeral keys and AEAD; those of TLS 1.3 come first, as Node would not enable it otherwise. */
const ciphers = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':');
