import type { Code } from './errors.ts';

/** What went wrong with a connection, for those who run the server. There are few reasons: metrics have each. */
export interface Incident {
  readonly reason: IncidentReason;
  /** What exactly; some of it may be in the peer's own words. */
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

/** What a TLS handshake fails by. */
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
