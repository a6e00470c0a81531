import type { Logger } from 'pino';
import { type CertificateInfo, checkClientAuthorities, checkServerPair } from '../certificates.ts';
import { messageOf } from '../message_of.ts';
import { createFiles } from './files.ts';

/** What TLS is served with, in PEM: a whole that has been checked. */
interface TlsPems {
  readonly cert: string;
  readonly key: string;
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

interface PemFile {
  readonly path: string;
  readonly pem: string;
}

/** The certificate that is served, as it is renewed on disk. */
export interface Tls {
  /** What is good now. */
  readonly pems: TlsPems;
  /** When the certificate that is served expires, in seconds since the epoch. */
  notAfter(): number;
  /** Calls back with what is good whenever it has changed, until it is stopped. */
  watch(apply: (pems: TlsPems) => void): () => void;
}

interface Served {
  pems: TlsPems;
  certificate: CertificateInfo;
  /** How many certificates may sign those of clients. */
  authorities: number;
}

/**
 * Serves what the files held at start, and then what they hold: taken together, of one moment, and
 * only when certificate and key belong together. Otherwise the last good ones stay. It looks again and
 * again, as mounted volumes do not reliably tell of changes. Throws when the files at start are no pair.
 */
export function createTls({ cert, key, clientCa, log, now, every }: TlsDeps): Tls {
  const paths = [cert.path, key.path, ...(clientCa ? [clientCa.path] : [])];
  const read = createFiles(paths, { now });
  let served = checked({ cert: cert.pem, key: key.pem, clientCa: clientCa?.pem });
  let rejected: string | undefined;
  let looking = false;
  tell();

  return {
    get pems() {
      return served.pems;
    },
    notAfter: () => served.certificate.notAfter,
    watch: (apply) => every(() => look(apply)),
  };

  async function look(apply: (pems: TlsPems) => void): Promise<void> {
    if (looking) return;
    looking = true;
    let mark: string | undefined;
    try {
      const snapshot = await read();
      if (!snapshot) return;
      mark = snapshot.mark;
      const pems = pemsOf(snapshot.texts);
      if (isSame(pems, served.pems) && rejected === undefined) return;
      const next = checked(pems);
      apply(pems);
      served = next;
      rejected = undefined;
      tell();
    } catch (error) {
      const reason = messageOf(error);
      const state = `${mark} ${reason}`;
      if (state !== rejected) log.warn({ reason, paths }, 'keeping the last good certificate');
      rejected = state;
    } finally {
      looking = false;
    }
  }

  /** One that is not valid is served as well: what its clients make of it is for them to say. */
  function tell(): void {
    const { subject, serial, notBefore, notAfter } = served.certificate;
    const said = { subject, serial, notBefore: isoOf(notBefore), notAfter: isoOf(notAfter) };
    log.info({ ...said, clientAuthorities: served.authorities }, 'serving certificate');
    const seconds = now() / 1000;
    if (seconds > notAfter) log.warn(said, 'the certificate has expired');
    if (seconds < notBefore) log.warn(said, 'the certificate is not valid yet');
  }
}

function checked(pems: TlsPems): Served {
  const { leaf: certificate } = checkServerPair(pems);
  const { clientCa } = pems;
  return {
    pems,
    certificate,
    authorities: clientCa === undefined ? 0 : checkClientAuthorities(clientCa).length,
  };
}

function pemsOf([cert = '', key = '', clientCa]: readonly string[]): TlsPems {
  return { cert, key, clientCa };
}

function isSame(a: TlsPems, b: TlsPems): boolean {
  return a.cert === b.cert && a.key === b.key && a.clientCa === b.clientCa;
}

function isoOf(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}
