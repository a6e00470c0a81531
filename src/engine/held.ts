/** Categories of memory that connections are charged for; each value is an index into an array. */
export const Held = {
  /** Connections: sockets and TLS state. */
  connections: 0,
  /** Open streams with the calls that they carry, and connections with open streams. */
  calls: 1,
  /** Request header lists, incomplete header blocks, HPACK dynamic tables and caches. */
  headers: 2,
  /** Request bodies as received. */
  bodies: 3,
  /** Request messages after decompression and decoding, and memory reserved for them. */
  messages: 4,
  /** Request messages that services retain after reading the next one. */
  retained: 5,
  /** Encoded responses that are not yet framed. */
  responses: 6,
  /** Incomplete frames, and frames deferred to a later turn. */
  input: 7,
  /** Frames that wait for the socket, or in its write buffer. */
  output: 8,
} as const;

/** A value of `Held`. */
export type Category = (typeof Held)[keyof typeof Held];

/** The categories that a stream is charged in. */
export const ofStreams = [
  Held.calls,
  Held.headers,
  Held.bodies,
  Held.messages,
  Held.retained,
  Held.responses,
] as const;

/** The categories that jobs of other threads are charged in. */
export const ofJobs: ReadonlySet<Category> = new Set([Held.messages, Held.responses]);

/** Bytes by category name. */
export type HeldBytes = Readonly<Record<string, number>>;
