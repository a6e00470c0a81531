import type { CertificatePair } from '../support/certificate.ts';
import type { Attacked } from './payloads.ts';

/** An order to a load process. */
export type Order = Flood | Crowd | Posts;

/** Many concurrent calls, each replaced when it has ended. */
export interface Flood {
  do: 'flood';
  port: number;
  /** Called in turn. */
  methods: readonly Attacked[];
  /** A name of payloads.ts. */
  payload: string;
  connections: number;
  /** The open calls of each connection; if responses are not read, the calls that are made. */
  streams: number;
  /**
   * The number of these whose bodies are sent concurrently. If all are, none may ever be complete, as together they
   * exceed the server's limit.
   */
  uploads: number;
  reads: Reads;
  /** The flood ends after so many calls, */
  calls: number;
  /** or so many milliseconds after the first one. */
  time: number;
}

/**
 * What clients read of responses: `all`; `none`, with closed windows, and half of their requests incomplete; `half`,
 * alternating; `nothing`, with open windows, but without reading the socket.
 */
export type Reads = 'all' | 'none' | 'half' | 'nothing';

/** Many idle connections, until the next order. */
export interface Crowd {
  do: 'crowd';
  port: number;
  connections: number;
  /**
   * What each connection sends: nothing, the HTTP/2 preface, a ClientHello, a TLS handshake without its last byte, or
   * the whole handshake and the preface.
   */
  says: 'nothing' | 'preface' | 'client hello' | 'half tls' | 'tls';
  /** The client certificate, with as many more certificates as the server accepts. */
  identity?: CertificatePair | undefined;
}

/**
 * Requests over HTTP/1.1 with large bodies in JSON, one on each connection. A connection is replaced after three
 * seconds; every second client does not read.
 */
export interface Posts {
  do: 'posts';
  port: number;
  path: string;
  /** The body in bytes, and the number of them that are not sent. */
  size: number;
  missing: number;
  connections: number;
  /** The duration in milliseconds. */
  time: number;
}

/** The result of an order. */
export interface Done {
  /** Connections that were opened, and those that the server has closed since. */
  connected: number;
  closed: number;
  calls: number;
  ended: number;
  /** Streams that the server has reset. */
  reset: number;
  bytesSent: number;
  bytesRead: number;
  /** DATA frames received. */
  messages: number;
  /** The duration in milliseconds. */
  took: number;
}

/** The result before the order begins. */
export function noneYet(): Done {
  return {
    connected: 0,
    closed: 0,
    calls: 0,
    ended: 0,
    reset: 0,
    bytesSent: 0,
    bytesRead: 0,
    messages: 0,
    took: 0,
  };
}
