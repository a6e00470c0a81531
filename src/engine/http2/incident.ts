import type { Code } from './errors.ts';

/** A connection error for metrics and the log. The reasons are few, as each is a metric label. */
export interface Incident {
  readonly reason: IncidentReason;
  /** The details, which may quote the peer. */
  readonly message: string;
}

type IncidentReason =
  | `goaway_${Lowercase<Code>}`
  | `rst_stream_${Lowercase<Code>}`
  | 'evicted'
  | `handshake_${HandshakeFailure}`
  | 'http1'
  | 'http_400'
  | 'http_405'
  | 'http_415'
  | 'http_431'
  | 'http_pipelining'
  | 'keepalive_timeout'
  | 'refused'
  | 'tls_on_plaintext';

/** The reasons of failed TLS handshakes. */
export type HandshakeFailure =
  | 'client_certificate_expired'
  | 'client_certificate_refused'
  | 'dropped'
  | 'no_client_certificate'
  | 'no_shared_cipher'
  | 'no_shared_protocol'
  | 'old_version'
  | 'other'
  | 'plaintext'
  | 'rejected_by_client'
  | 'reset'
  | 'timeout'
  | 'unknown_authority';
