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
  | 'handshake_dropped'
  | 'handshake_timeout'
  | 'http1'
  | 'http_on_tls'
  | 'http_405'
  | 'http_415'
  | 'http_431'
  | 'keepalive_timeout'
  | 'refused'
  | 'tls_on_plaintext';
