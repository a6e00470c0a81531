import type { Logger } from 'pino';
import {
  type CertificateInfo,
  type Chain,
  checkClientAuthorities,
  checkServerPair,
  type ClientAuthority,
  datesOf,
  type Pair,
  type PemFile,
} from '../certificates.ts';
import { messageOf } from '../message_of.ts';
import { createExpiry } from './expiry.ts';
import { createFiles, type Snapshot } from './files.ts';

/** What TLS is served with, in PEM: a whole that has been checked. */
interface TlsPems extends Readonly<Pair> {
  readonly clientCa: string | undefined;
}

/** What certificates are served with, and what tells when to look at them. */
export interface TlsDeps {
  /** The files, with what they held at start. */
  cert: PemFile;
  key: PemFile;
  clientCa: PemFile | undefined;
  log: Pick<Logger, 'info' | 'warn'>;
  /** Milliseconds since the epoch. */
  now: () => number;
  /** Does the work again and again; gives what stops it. */
  every: (work: () => Promise<void>) => () => void;
}

/** The certificate that is served, as it is renewed on disk. */
export interface Tls {
  /** What is good now. */
  readonly pems: TlsPems;
  /** When the first of the certificates that are served expires, in seconds since the epoch. */
  notAfter(): number;
  /** The same of the client authorities; undefined where there are none. */
  clientCaNotAfter(): number | undefined;
  /**
   * Warns of what expires, and calls back with what is good whenever it has changed, until it is stopped. An
   * engine that cannot take it has no callback: then files are not looked at.
   */
  watch(apply: ((pems: TlsPems) => void) | undefined): () => void;
  /**
   * Takes what the files hold now, without waiting for them to be still, and says what is served; for whoever
   * knows that they are complete. It never throws, and does nothing where nobody watches files.
   */
  reload(): Promise<void>;
}

interface Served {
  pems: TlsPems;
  chain: Chain;
  /** Who may sign the certificates of clients. */
  authorities: readonly ClientAuthority[];
}

/**
 * Serves what the files held at start, and then what they hold: taken together, of one moment, once they
 * have been still from one look to the next, and only when certificate and key belong together. Otherwise the
 * last good ones stay. It looks again and again, as mounted volumes do not reliably tell of changes. Throws
 * when the files at start are no pair.
 */
export function createTls({ cert, key, clientCa, log, now, every }: TlsDeps): Tls {
  const paths = [cert.path, key.path, ...(clientCa ? [clientCa.path] : [])];
  const read = createFiles(paths, { now });
  const expiry = createExpiry({ log, now });
  let served = checked({ cert: cert.pem, key: key.pem, clientCa: clientCa?.pem });
  let apply: ((pems: TlsPems) => void) | undefined;
  /** What the last look found, and what nothing is left to be done for. */
  let seen: Snapshot | undefined;
  let settled: Snapshot | undefined;
  let rejected: string | undefined;
  let looking: Promise<void> | undefined;
  tell();

  return {
    get pems() {
      return served.pems;
    },
    notAfter: () => earliest([served.chain.leaf, ...served.chain.more]),
    clientCaNotAfter: () => (clientCa ? earliest(served.authorities) : undefined),
    watch(callback) {
      apply = callback;
      const stop = every(async () => {
        await (looking ?? begin({ isAsked: false }));
        expiry.look(served);
      });
      return () => {
        apply = undefined;
        stop();
      };
    },
    reload: () => begin({ isAsked: true }),
  };

  /** One look after the other. */
  async function begin(how: { isAsked: boolean }): Promise<void> {
    if (!apply) return;
    const before = looking;
    const mine = (async () => {
      await before;
      await look(how);
    })();
    looking = mine;
    await mine;
    if (looking === mine) looking = undefined;
  }

  async function look({ isAsked }: { isAsked: boolean }): Promise<void> {
    let snapshot: Snapshot | undefined;
    try {
      snapshot = await read();
      if (!snapshot && isAsked) throw new Error('Cannot read the files while they change');
      if (!snapshot || (snapshot === settled && !isAsked)) return;
      const isStill = snapshot === seen || isAsked;
      seen = snapshot;
      const pems = pemsOf(snapshot.texts);
      const isAsServed = isSame(pems, served.pems);
      const next = isAsServed ? served : checked(pems);
      // Whoever writes it may not have come to the end: half a chain looks like a shorter one.
      if (!isAsServed && !isStill) return;
      settled = snapshot;
      if (isAsServed && rejected === undefined && !isAsked) return;
      const before = served;
      if (!isAsServed) apply?.(pems);
      served = next;
      rejected = undefined;
      tell(before);
    } catch (error) {
      settled = snapshot;
      const reason = messageOf(error);
      const state = `${snapshot?.mark} ${reason}`;
      if (state !== rejected || isAsked) {
        log.warn({ reason, paths }, 'keeping the last good certificate');
      }
      rejected = state;
    }
  }

  /** One that is not valid is served as well: what its clients make of it is for them to say. */
  function tell(before?: Served): void {
    const { chain, authorities } = served;
    const { leaf, length } = chain;
    const { subject, serial } = leaf;
    const counts = { chain: length, clientAuthorities: authorities.length };
    log.info({ subject, serial, ...datesOf(leaf), ...counts }, 'serving certificate');
    tellOfChain(before);
    tellOfAuthorities(before);
    expiry.begin(served);
  }

  /** Clients may know the certificates that are not there: it is served as well. */
  function tellOfChain(before?: Served): void {
    const { chain } = served;
    const { leaf, more, length, missing } = chain;
    const { subject } = leaf;
    if (length <= more.length) {
      const hint = 'put those that have signed it after it in the file, and no others';
      const strays = 1 + more.length - length;
      log.warn({ subject, missing, strays, hint }, 'the certificate chain does not lead on');
    } else if (more.length === 0 && missing !== undefined && !isAuthority(missing)) {
      const level = chain.isOfPublicAuthority ? 'warn' : 'info';
      const ifNoRoot = 'put the issuer after it in the file, unless that is a root';
      log[level]({ subject, missing, hint: ifNoRoot }, 'the certificate comes without its issuer');
    }
    if (before && length < before.chain.length) {
      const counts = { before: before.chain.length, now: length };
      log.warn({ subject, missing, ...counts }, 'the certificate chain is shorter than before');
    }
  }

  function tellOfAuthorities(before?: Served): void {
    const { authorities } = served;
    for (const { subject, missing } of authorities) {
      if (missing === undefined) continue;
      log.warn({ subject, missing }, 'the client authority has no root, and counts for nothing');
    }
    if (before && authorities.length < before.authorities.length) {
      const counts = { before: before.authorities.length, now: authorities.length };
      log.warn(counts, 'there are fewer client authorities than before');
    }
  }

  /** A root that signs both sides is no intermediate: nothing is left out. */
  function isAuthority(name: string): boolean {
    return served.authorities.some(({ subject, issuer }) => subject === name && issuer === name);
  }
}

function checked(pems: TlsPems): Served {
  const { clientCa } = pems;
  return {
    pems,
    chain: checkServerPair(pems),
    authorities: clientCa === undefined ? [] : checkClientAuthorities(clientCa),
  };
}

function pemsOf([cert = '', key = '', clientCa]: readonly string[]): TlsPems {
  return { cert, key, clientCa };
}

function isSame(a: TlsPems, b: TlsPems): boolean {
  return a.cert === b.cert && a.key === b.key && a.clientCa === b.clientCa;
}

function earliest(certificates: readonly CertificateInfo[]): number {
  return Math.min(...certificates.map(({ notAfter }) => notAfter));
}
