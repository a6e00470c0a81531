import type { Logger } from 'pino';
import { type CertificateInfo, type Chain, datesOf } from '../certificates.ts';

interface ExpiryDeps {
  log: Pick<Logger, 'warn'>;
  /** Milliseconds since the epoch. */
  now: () => number;
}

/** The served certificates and the client CAs. */
interface Certificates {
  chain: Pick<Chain, 'leaf' | 'more'>;
  authorities: readonly CertificateInfo[];
}

/** Warns of certificates that expire. */
export interface Expiry {
  /** Sets the certificates, and logs all warnings about them. */
  begin(certificates: Certificates): void;
  /** Logs the warnings that were not logged today. */
  look(certificates: Certificates): void;
}

const daySeconds = 24 * 3600;

/** Seconds before expiry when warnings begin. */
const soon = 7 * daySeconds;

/** Warns once a day of each certificate that expires soon, has expired, or is not valid yet. */
export function createExpiry({ log, now }: ExpiryDeps): Expiry {
  /** The last warning by certificate. */
  const logged = new Map<string, string>();

  return {
    begin(certificates) {
      logged.clear();
      look(certificates);
    },
    look,
  };

  function look({ chain, authorities }: Certificates): void {
    lookAt(chain.leaf, 'server');
    for (const each of chain.more) lookAt(each, 'intermediate');
    for (const each of authorities) lookAt(each, 'client authority');
  }

  function lookAt(certificate: CertificateInfo, role: string): void {
    const { subject, issuer, serial, notAfter } = certificate;
    const seconds = now() / 1000;
    const message = warningOf(certificate, seconds);
    if (message === undefined) return;
    const key = `${role} ${issuer} ${serial}`;
    const state = `${message} ${Math.ceil((notAfter - seconds) / daySeconds)}`;
    if (logged.get(key) === state) return;
    logged.set(key, state);
    log.warn({ role, subject, serial, ...datesOf(certificate) }, message);
  }
}

function warningOf({ notBefore, notAfter }: CertificateInfo, seconds: number): string | undefined {
  if (seconds > notAfter) return 'the certificate has expired';
  if (seconds < notBefore) return 'the certificate is not valid yet';
  if (notAfter - seconds <= soon) return 'the certificate expires soon';
  return undefined;
}
