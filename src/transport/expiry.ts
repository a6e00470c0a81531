import type { Logger } from 'pino';
import { type CertificateInfo, type Chain, datesOf } from '../certificates.ts';

interface ExpiryDeps {
  log: Pick<Logger, 'warn'>;
  /** Milliseconds since the epoch. */
  now: () => number;
}

/** What is served, and whose certificates are taken. */
interface Certificates {
  chain: Pick<Chain, 'leaf' | 'more'>;
  authorities: readonly CertificateInfo[];
}

/** Warns of certificates by the clock. */
export interface Expiry {
  /** Looks at others, or at the same anew: all there is to say of them is said. */
  begin(certificates: Certificates): void;
  /** Says what has not been said of them today. */
  look(certificates: Certificates): void;
}

const daySeconds = 24 * 3600;

/** So long before its end a certificate is warned of, in seconds. */
const soon = 7 * daySeconds;

/** Warns once a day of each certificate that is about to expire, has expired, or is not valid yet. */
export function createExpiry({ log, now }: ExpiryDeps): Expiry {
  /** What was said last, by the certificate. */
  const told = new Map<string, string>();

  return {
    begin(certificates) {
      told.clear();
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
    if (told.get(key) === state) return;
    told.set(key, state);
    log.warn({ role, subject, serial, ...datesOf(certificate) }, message);
  }
}

function warningOf({ notBefore, notAfter }: CertificateInfo, seconds: number): string | undefined {
  if (seconds > notAfter) return 'the certificate has expired';
  if (seconds < notBefore) return 'the certificate is not valid yet';
  if (notAfter - seconds <= soon) return 'the certificate expires soon';
  return undefined;
}
