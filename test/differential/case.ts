import type { Flight } from './play.ts';

/** A case on a connection of its own; its outcome is that of the last flight. */
export interface Case {
  name: string;
  flights: readonly Flight[];
  /** The stream that it tests, if it is not stream 1. */
  about?: number;
  /** The case sends its own preface. */
  ungreeted?: boolean;
  /** The client ends its side afterwards. */
  finished?: boolean;
}

/** A case of one flight, and the streams that it ends. */
export function one(name: string, bytes: Buffer, ...ended: readonly number[]): Case {
  return { name, flights: [{ bytes, ended }] };
}
