import type { CertificatePair } from '../support/certificate.ts';
import type { Attacked } from './payloads.ts';

/** What a load process is told to do. */
export type Order = Flood | Crowd;

/** Many calls at once, each made again when it has ended. */
export interface Flood {
  do: 'flood';
  port: number;
  /** They are called in turn. */
  methods: readonly Attacked[];
  /** Of payloads.ts. */
  payload: string;
  connections: number;
  /** Calls that are open on each connection; where nobody reads, and sees that one has ended, those that are made. */
  streams: number;
  /**
   * Of these, those whose bodies are sent at once. Where all are, none may ever be whole: together they are more
   * than a server keeps.
   */
  uploads: number;
  reads: Reads;
  /** The flood is over when so many calls have ended, and makes no more than those and the ones that are open, */
  calls: number;
  /** or so many milliseconds have passed since the first one. */
  time: number;
}

/**
 * What clients take of responses: `all`; `none`, as their windows stay empty, and half of their requests are
 * never ended; `half`: every other call so, every other so; `nothing`: the windows are the largest there are,
 * and nobody reads the socket.
 */
export type Reads = 'all' | 'none' | 'half' | 'nothing';

/** Many connections that do nothing more, until the next order. */
export interface Crowd {
  do: 'crowd';
  port: number;
  connections: number;
  /**
   * What each one says: nothing, HTTP/2's preface, the first word of a TLS handshake, all but its last byte, or
   * the whole and the preface.
   */
  says: 'nothing' | 'preface' | 'client hello' | 'half tls' | 'tls';
  /** What it shows in a handshake, with as many more certificates as a server takes. */
  identity?: CertificatePair | undefined;
}

/** What came of an order. */
export interface Done {
  /** Connections that were made, and those that the server has closed since. */
  connected: number;
  closed: number;
  calls: number;
  ended: number;
  /** Streams that the server has reset. */
  reset: number;
  bytesSent: number;
  bytesRead: number;
  /** DATA frames that came. */
  messages: number;
  /** Milliseconds that it took. */
  took: number;
}

/** What has come of it before it begins. */
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
