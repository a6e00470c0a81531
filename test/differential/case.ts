import type { Flight } from './play.ts';

/** What is played on a connection of its own, and has an outcome: that of its last flight. */
export interface Case {
  name: string;
  flights: readonly Flight[];
  /** The stream that it is about, if it is not the first. */
  about?: number;
  /** It says the preface itself, or what else it begins with. */
  ungreeted?: boolean;
  /** The client ends its side after that. */
  finished?: boolean;
}

/** A case of one flight, and the streams that end by it. */
export function one(name: string, bytes: Buffer, ...ended: readonly number[]): Case {
  return { name, flights: [{ bytes, ended }] };
}
