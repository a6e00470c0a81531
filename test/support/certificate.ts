import { X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { generate } from 'selfsigned';

/** A certificate and its key; PEM. */
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
  /** Who signs it; without, it signs itself. */
  signer?: CertificatePair;
  /** Whether it may sign others; without, those may that sign themselves. */
  isAuthority?: boolean;
  /** What alone it is for. */
  usage?: 'serverAuth' | 'clientAuth';
  keyType?: 'rsa' | 'ec';
}

/** A certificate as it is asked for, by default one for this machine, which signs itself. */
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

/** A certificate for this machine, which signs itself. */
export function localCertificate(): Promise<CertificatePair> {
  return certificate();
}

/** OpenSSL takes 100 KiB of a chain; these are a few less, with all that is around them. */
const longestChain = 98_000;

/** The same with a chain that is as long as may be: its certificate again and again, which has signed nothing. */
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
