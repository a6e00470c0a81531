import type { SecureContextOptions, TlsOptions } from 'node:tls';

/** What TLS is served with, in PEM. */
export interface TlsFiles {
  cert: string | Buffer;
  key: string | Buffer;
  /** Who signs the clients' certificates: with it, only clients that have one are served. */
  clientCa?: string | Buffer | undefined;
}

/** A handshake that takes longer is cut, in milliseconds. */
export const handshakeTimeout = 10_000;

/** How HTTP/2 is served over TLS. Whether clients need a certificate cannot be changed later. */
export function tlsOptions(files: TlsFiles, { speaksHttp1 } = { speaksHttp1: false }): TlsOptions {
  return {
    ...secureOptions(files),
    // A client that offers others alone is refused with no_application_protocol. One that offers none
    // is served: proxies and old gRPC clients that are told to speak HTTP/2 may not offer it. What comes
    // then decides what it speaks. Clients see that we chose h2, which grpc-go asks for since 1.67.
    ALPNProtocols: speaksHttp1 ? ['h2', 'http/1.1'] : ['h2'],
    handshakeTimeout,
    ...(files.clientCa && { requestCert: true, rejectUnauthorized: true }),
  };
}

/**
 * The part of it that can be changed while connections are open. RFC 9113 section 9.2: TLS 1.2 or
 * higher, no renegotiation, and in TLS 1.2 no cipher suite of appendix A. Clients that need a certificate
 * resume no session, see noResumption().
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
 * Has every handshake be a full one. A session that is resumed is not verified again: its client would be
 * served after its certificate has expired. Without tickets OpenSSL asks a cache for sessions, those of
 * TLS 1.3 too, and Node's has none unless somebody listens for `newSession` and `resumeSession`.
 */
export function noResumption(): number {
  return process.getBuiltinModule('node:crypto').constants.SSL_OP_NO_TICKET;
}

/** Ephemeral keys and AEAD alone: first all of TLS 1.3, without which Node would not speak it. */
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
