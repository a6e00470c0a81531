import { X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** A certificate and its key, in PEM. */
export interface CertificatePair {
  cert: string;
  key: string;
}

interface CertificateOptions {
  /** The common name; '' for none. */
  name?: string;
  dns?: readonly string[];
  uris?: readonly string[];
  notBefore?: Date;
  notAfter?: Date;
  /** The issuer; self-signed by default. */
  signer?: CertificatePair;
  /** True for a CA; by default, if it is self-signed. */
  isAuthority?: boolean;
  /** The only extended key usage. */
  usage?: 'serverAuth' | 'clientAuth';
  keyType?: 'rsa' | 'ec';
}

/** Creates a certificate; by default self-signed, for this machine. */
export async function certificate({
  name = 'localhost',
  dns = ['localhost'],
  uris = [],
  notBefore,
  notAfter,
  signer,
  isAuthority = signer === undefined,
  usage,
  keyType = 'rsa',
}: CertificateOptions = {}): Promise<CertificatePair> {
  // Most test files import this one, and create no certificate.
  const { generate } = await import('selfsigned');
  const altNames = [
    ...uris.map((value) => ({ type: 6 as const, value })),
    ...dns.map((value) => ({ type: 2 as const, value })),
    { type: 7 as const, ip: '127.0.0.1' },
    { type: 7 as const, ip: '::1' },
  ];
  const attributes = name === '' ? [] : [{ name: 'commonName', value: name }];
  const { cert, private: key } = await generate(attributes, {
    algorithm: 'sha256',
    keyType,
    extensions: [
      { name: 'basicConstraints', cA: isAuthority },
      { name: 'subjectAltName', altNames },
      ...(usage ? [{ name: 'extKeyUsage' as const, [usage]: true }] : []),
    ],
    ...(notBefore && { notBeforeDate: notBefore }),
    ...(notAfter && { notAfterDate: notAfter }),
    ...(signer && { ca: signer }),
  });
  return { cert, key };
}

/** A self-signed certificate for this machine. */
export function localCertificate(): Promise<CertificatePair> {
  return certificate();
}

/** OpenSSL accepts a chain of 100 KiB; this is a little less, including overhead. */
const longestChain = 98_000;

/** The same with the longest chain: its certificate repeated, although it has signed nothing. */
export function withLongestChain({ cert, key }: CertificatePair): CertificatePair {
  const { length } = new X509Certificate(cert).raw;
  return { cert: `${cert}\n`.repeat(Math.floor(longestChain / (length + 5))), key };
}

// Started for foreign clients: writes cert.pem and key.pem into a folder.
if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { cert, key } = await localCertificate();
  const folder = process.argv[2] ?? '.';
  writeFileSync(join(folder, 'cert.pem'), cert);
  writeFileSync(join(folder, 'key.pem'), key);
}
