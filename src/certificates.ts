import type { KeyObject, X509Certificate } from 'node:crypto';
import { messageOf } from './message_of.ts';

/** A certificate chain and its private key, in PEM. */
export interface Pair {
  cert: string;
  key: string;
}

/** A PEM file with the content that was read. */
export interface PemFile {
  readonly path: string;
  readonly pem: string;
}

/** The fields of a certificate that are reported. */
export interface CertificateInfo {
  subject: string;
  issuer: string;
  /** Hexadecimal. */
  serial: string;
  /** The validity, in seconds since the epoch. */
  notBefore: number;
  notAfter: number;
}

/** The validity in readable form. */
export function datesOf({
  notBefore,
  notAfter,
}: CertificateInfo): Record<'notBefore' | 'notAfter', string> {
  return { notBefore: isoOf(notBefore), notAfter: isoOf(notAfter) };
}

/** The chain that is sent to clients: a leaf and its issuers. */
export interface Chain {
  leaf: CertificateInfo;
  /** The other certificates of the file. */
  more: readonly CertificateInfo[];
  /** The number of certificates in the chain from the leaf on, each signed by the next. */
  length: number;
  /** The issuer of the last one; undefined if it is self-signed. */
  missing: string | undefined;
  /** True if the leaf names the URL of its issuer's certificate, as those of public CAs do. */
  isOfPublicAuthority: boolean;
}

/** The maximum size of a file of certificates or keys in bytes; a bundle of all public CAs has a quarter of it. */
export const longestPem = 1024 ** 2;

/** The rule for PEM files: reading a FIFO would block, and a device may have no end. */
export const pemFileRule = 'must be a regular file of at most 1MiB';

/** Validates a chain and key for TLS. Throws an Error whose message is the rule that is broken. */
export function checkPair(pair: Pair): Chain {
  return chainOf(readPair(pair));
}

/** Validates a chain and key for a server; refuses one that no client would accept. */
export function checkServerPair(pair: Pair): Chain {
  const read = readPair(pair);
  // Set only if the certificate is limited to certain uses.
  const uses = read.leaf.keyUsage ?? [serverAuth];
  if (![serverAuth, anyUse].some((use) => uses.includes(use))) {
    const rule =
      'the certificate must be one for servers: its extended key usage has no serverAuth';
    throw new Error(rule);
  }
  const curve = read.privateKey.asymmetricKeyDetails?.namedCurve;
  if (curve !== undefined && !curves.has(curve)) {
    throw new Error(`the key must be on a curve that TLS has, such as prime256v1: not ${curve}`);
  }
  return chainOf(read);
}

interface ReadPair {
  leaf: X509Certificate;
  more: readonly X509Certificate[];
  privateKey: KeyObject;
}

function readPair({ cert, key }: Pair): ReadPair {
  // Loaded only with TLS: node:tls takes memory and time.
  const { createSecureContext } = process.getBuiltinModule('node:tls');
  const [leaf, ...more] = certificatesIn(cert);
  const privateKey = privateKeyIn(key);
  if (!leaf.checkPrivateKey(privateKey)) throw new Error(mismatch(more, privateKey));
  parsed('must be a certificate and its key', () => createSecureContext({ cert, key }));
  return { leaf, more, privateKey };
}

/** The extended key usage of servers (RFC 5280 section 4.2.1.12). */
const serverAuth = '1.3.6.1.5.5.7.3.1';
const anyUse = '2.5.29.37.0';

/** The curves of TLS 1.3 certificates (RFC 8446 section 4.2.3, RFC 8734), other than Ed25519, which is not one. */
const curves: ReadonlySet<string> = new Set([
  'prime256v1',
  'secp384r1',
  'secp521r1',
  'brainpoolP256r1',
  'brainpoolP384r1',
  'brainpoolP512r1',
]);

/**
 * Validates that there is at least one certificate, and that each is complete. Throws an Error whose message is the
 * rule that is broken.
 */
export function checkAuthorities(pem: string): void {
  certificatesIn(pem);
}

/** A CA of client certificates. */
export interface ClientAuthority extends CertificateInfo {
  /** Its issuer, if the file lacks it: then this CA is useless. */
  missing: string | undefined;
}

/**
 * Reads the CAs of client certificates. OpenSSL builds chains up to a root, and Node's servers cannot accept a
 * partial chain (`allowPartialTrustChain` has no effect on them), so without a root every client would be refused.
 * Throws an Error whose message is the rule that is broken.
 */
export function checkClientAuthorities(pem: string): ClientAuthority[] {
  const all = certificatesIn(pem);
  const authorities = all.map((each) => ({ ...infoOf(each), missing: pathOf(each, all).missing }));
  const rootless = authorities.filter(({ missing }) => missing !== undefined);
  const [first] = rootless;
  if (first === undefined || rootless.length < authorities.length) return authorities;
  const { subject, missing } = first;
  throw new Error(`must hold a root: "${missing}", to which "${subject}" leads, is missing`);
}

function mismatch(more: readonly X509Certificate[], key: KeyObject): string {
  const place = more.findIndex((each) => each.checkPrivateKey(key));
  const rule = 'must be a certificate and its key';
  if (place === -1) return `${rule}: the key is that of another`;
  return `${rule}: that of the key is number ${place + 2} of the file, and must be the first`;
}

function privateKeyIn(key: string): KeyObject {
  const { createPrivateKey } = process.getBuiltinModule('node:crypto');
  if (/^(-----BEGIN ENCRYPTED PRIVATE KEY-----|Proc-Type: 4,ENCRYPTED)/m.test(key)) {
    const how = 'take its passphrase away, with "openssl pkey -in OLD -out NEW"';
    throw new Error(`the key must not be encrypted: ${how}`);
  }
  return parsed('the key must be a private key in PEM', () => createPrivateKey(key));
}

function chainOf({ leaf, more }: ReadPair): Chain {
  return {
    leaf: infoOf(leaf),
    more: more.map(infoOf),
    ...pathOf(leaf, more),
    isOfPublicAuthority: leaf.infoAccess?.includes('CA Issuers') ?? false,
  };
}

function pathOf(
  leaf: X509Certificate,
  more: readonly X509Certificate[],
): Pick<Chain, 'length' | 'missing'> {
  const left = new Set(more);
  let last = leaf;
  for (let next; (next = issuerIn(left, last)); last = next) left.delete(next);
  return {
    length: 1 + more.length - left.size,
    missing: isSelfSigned(last) ? undefined : oneLine(last.issuer),
  };
}

/** Clients sort the chain, so the order does not matter. */
function issuerIn(some: ReadonlySet<X509Certificate>, of: X509Certificate) {
  if (isSelfSigned(of)) return undefined;
  for (const each of some) if (isSignedBy(of, each)) return each;
  return undefined;
}

function isSignedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

/** True if its key usage allows it to sign certificates, or is absent. */
function isSelfSigned(certificate: X509Certificate): boolean {
  const { subject, issuer, publicKey } = certificate;
  return subject === issuer && certificate.verify(publicKey);
}

function infoOf(certificate: X509Certificate): CertificateInfo {
  return {
    subject: oneLine(certificate.subject),
    issuer: oneLine(certificate.issuer),
    serial: certificate.serialNumber,
    notBefore: certificate.validFromDate.getTime() / 1000,
    notAfter: certificate.validToDate.getTime() / 1000,
  };
}

/** Node returns undefined for an empty name. */
function oneLine(name: string | undefined): string {
  return name?.split('\n').join(', ') ?? '';
}

function isoOf(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}

/**
 * Parses each certificate: OpenSSL skips those that it cannot read, and a file may be half written, or concatenated
 * without a line break.
 */
function certificatesIn(pem: string): [X509Certificate, ...X509Certificate[]] {
  const { X509Certificate } = process.getBuiltinModule('node:crypto');
  const rule = 'must hold certificates in PEM, each of them whole';
  if (pem.includes('\u{FEFF}')) {
    throw new Error(`${rule}: save it without the byte order mark that it has`);
  }
  const [first, ...rest] = blocksIn(pem, rule).map((block) =>
    parsed(rule, () => new X509Certificate(block)),
  );
  if (first === undefined) throw new Error(rule);
  return [first, ...rest];
}

/** The PEM blocks of a text, in linear time. */
function blocksIn(pem: string, rule: string): string[] {
  return Array.from(pem.matchAll(/-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----/g), (begin) => {
    const [line] = begin;
    const bodyAt = begin.index + line.length;
    const lastLine = line.replace('BEGIN', 'END');
    // `-` is no base64 character.
    const lastAt = pem.indexOf('-', bodyAt);
    const endAt = lastAt + lastLine.length;
    const isWhole =
      lastAt !== -1 &&
      pem.startsWith(lastLine, lastAt) &&
      [begin.index, lastAt].every((at) => at === 0 || isNewLine(pem.charAt(at - 1))) &&
      [bodyAt, endAt].every((at) => hasNoMore(pem, at));
    if (!isWhole) throw new Error(rule);
    return pem.slice(begin.index, endAt);
  });
}

/** True if the rest of the line is white space. */
function hasNoMore(text: string, from: number): boolean {
  let at = from;
  while (text.charAt(at) === ' ' || text.charAt(at) === '\t') at++;
  return at === text.length || isNewLine(text.charAt(at));
}

function isNewLine(character: string): boolean {
  return character === '\n' || character === '\r';
}

function parsed<T>(rule: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    const why = messageOf(error);
    throw new Error(`${rule}: ${why}`, { cause: error });
  }
}
