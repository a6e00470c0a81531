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

/** Validated PEM files of TLS. */
interface TlsPems extends Readonly<Pair> {
  readonly clientCa: string | undefined;
}

/** Dependencies of TLS. */
export interface TlsDeps {
  /** The files, with their contents at start. */
  cert: PemFile;
  key: PemFile;
  clientCa: PemFile | undefined;
  log: Pick<Logger, 'info' | 'warn'>;
  /** Milliseconds since the epoch. */
  now: () => number;
  /** Repeats work periodically; returns the function that stops it. */
  every: (work: () => Promise<void>) => () => void;
}

/** The served certificate, with reload when it is renewed on disk. */
export interface Tls {
  /** The current files. */
  readonly pems: TlsPems;
  /** When the first of the served certificates expires, in seconds since the epoch. */
  notAfter(): number;
  /** When the first of the client CAs expires; undefined if there are none. */
  clientCaNotAfter(): number | undefined;
  /**
   * Warns of expiry, and calls back with new valid files until stopped. Without a callback, for an engine that cannot
   * replace them, files are not watched.
   */
  watch(apply: ((pems: TlsPems) => void) | undefined): () => void;
  /**
   * Reloads the files now, without waiting for them to be unchanged, and logs what is served; for a user who knows
   * that they are complete. It never throws, and does nothing if files are not watched.
   */
  reload(): Promise<void>;
}

interface Served {
  pems: TlsPems;
  chain: Chain;
  /** The CAs of client certificates. */
  authorities: readonly ClientAuthority[];
}

/**
 * Serves the files as they were at start, and later as they are on disk: read together, unchanged between two checks,
 * and with a certificate that matches its key. Otherwise the last valid ones stay in use. It polls, as mounted
 * volumes do not reliably report changes. Throws if the files at start are invalid.
 */
export function createTls({ cert, key, clientCa, log, now, every }: TlsDeps): Tls {
  const paths = [cert.path, key.path, ...(clientCa ? [clientCa.path] : [])];
  const read = createFiles(paths, { now });
  const expiry = createExpiry({ log, now });
  let served = checked({ cert: cert.pem, key: key.pem, clientCa: clientCa?.pem });
  let apply: ((pems: TlsPems) => void) | undefined;
  /** The result of the last check, and the state that is already handled. */
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

  /** Checks run one after the other. */
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
      // A file may be half written, and half a chain looks like a shorter one.
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

  /** A certificate outside of its validity is served as well: clients decide. */
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

  /** Clients may know the missing certificates, so the chain is served as well. */
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

  /** A root that signs both is no intermediate, so nothing is missing. */
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
