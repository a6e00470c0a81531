import type { X509Certificate } from 'node:crypto';
import { messageOf } from './message_of.ts';

/** A certificate, with what it is signed by, and its key; PEM. */
export interface Pair {
  cert: string;
  key: string;
}

/** What a certificate says of itself. */
export interface CertificateInfo {
  subject: string;
  /** Hexadecimal. */
  serial: string;
  /** From when to when it is valid, in seconds since the epoch. */
  notBefore: number;
  notAfter: number;
}

/** Reads a pair that can be served with. Throws an Error whose message is the rule it breaks. */
export function checkPair({ cert, key }: Pair): CertificateInfo {
  // Loaded only where there is TLS: node:tls takes memory and time.
  const { createPrivateKey } = process.getBuiltinModule('node:crypto');
  const { createSecureContext } = process.getBuiltinModule('node:tls');
  const [leaf] = certificatesIn(cert);
  const privateKey = parsed('the key must be a private key in PEM', () => createPrivateKey(key));
  if (!leaf.checkPrivateKey(privateKey)) {
    throw new Error('must be a certificate and its key: the key is that of another');
  }
  parsed('must be a certificate and its key', () => createSecureContext({ cert, key }));
  return {
    subject: leaf.subject?.split('\n').join(', ') ?? '',
    serial: leaf.serialNumber,
    notBefore: leaf.validFromDate.getTime() / 1000,
    notAfter: leaf.validToDate.getTime() / 1000,
  };
}

/** How many certificates there are, each whole. Throws an Error whose message is the rule they break. */
export function checkAuthorities(pem: string): number {
  return certificatesIn(pem).length;
}

/**
 * Looks at every one: OpenSSL leaves out what it cannot read, and a file may be half written, or two
 * put together without a new line between.
 */
function certificatesIn(pem: string): [X509Certificate, ...X509Certificate[]] {
  const { X509Certificate } = process.getBuiltinModule('node:crypto');
  const begun = pem.match(/-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----/g) ?? [];
  const whole =
    pem.match(
      /^-----BEGIN ((?:X509 |TRUSTED )?CERTIFICATE)-----\s*$[^-]+^-----END \1-----\s*$/gm,
    ) ?? [];
  const rule = 'must hold certificates in PEM, each of them whole';
  const [first, ...rest] = whole.map((block) => parsed(rule, () => new X509Certificate(block)));
  if (first === undefined || whole.length < begun.length) throw new Error(rule);
  return [first, ...rest];
}

function parsed<T>(rule: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    const why = messageOf(error);
    throw new Error(`${rule}: ${why}`, { cause: error });
  }
}
