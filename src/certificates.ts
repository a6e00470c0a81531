import type { KeyObject, X509Certificate } from 'node:crypto';
import { messageOf } from './message_of.ts';

/** A certificate, with what it is signed by, and its key; PEM. */
export interface Pair {
  cert: string;
  key: string;
}

/** A file of PEM, and what it held when it was read. */
export interface PemFile {
  readonly path: string;
  readonly pem: string;
}

/** What a certificate says of itself. */
export interface CertificateInfo {
  subject: string;
  issuer: string;
  /** Hexadecimal. */
  serial: string;
  /** From when to when it is valid, in seconds since the epoch. */
  notBefore: number;
  notAfter: number;
}

/** From when to when it is valid, as people read it. */
export function datesOf({
  notBefore,
  notAfter,
}: CertificateInfo): Record<'notBefore' | 'notAfter', string> {
  return { notBefore: isoOf(notBefore), notAfter: isoOf(notAfter) };
}

/** What is shown to clients: a certificate, and what it is signed by. */
export interface Chain {
  leaf: CertificateInfo;
  /** The others of the file. */
  more: readonly CertificateInfo[];
  /** How many lead on from the leaf, each signed by the next, itself included. */
  length: number;
  /** Who has signed the last of these; undefined where that is itself. */
  missing: string | undefined;
  /** Whether the leaf says where its issuer can be had, as those of public authorities do. */
  isOfPublicAuthority: boolean;
}

/** What a file of certificates or keys may take, in bytes: a bundle of every public authority is a quarter of it. */
export const longestPem = 1024 ** 2;

/** The rule for what is read as PEM: a FIFO is waited for, and a device may have no end. */
export const pemFileRule = 'must be a regular file of at most 1MiB';

/** Reads a pair that TLS takes. Throws an Error whose message is the rule it breaks. */
export function checkPair(pair: Pair): Chain {
  return chainOf(readPair(pair));
}

/** The same for a pair to serve with: one that no client would take is refused. */
export function checkServerPair(pair: Pair): Chain {
  const read = readPair(pair);
  // It has these only where it is not for everything.
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
  // Loaded only where there is TLS: node:tls takes memory and time.
  const { createSecureContext } = process.getBuiltinModule('node:tls');
  const [leaf, ...more] = certificatesIn(cert);
  const privateKey = privateKeyIn(key);
  if (!leaf.checkPrivateKey(privateKey)) throw new Error(mismatch(more, privateKey));
  parsed('must be a certificate and its key', () => createSecureContext({ cert, key }));
  return { leaf, more, privateKey };
}

/** Extended key usages (RFC 5280, section 4.2.1.12). */
const serverAuth = '1.3.6.1.5.5.7.3.1';
const anyUse = '2.5.29.37.0';

/** Those that certificates of TLS 1.3 may have (RFC 8446, section 4.2.3; RFC 8734). Ed25519 is no such curve. */
const curves: ReadonlySet<string> = new Set([
  'prime256v1',
  'secp384r1',
  'secp521r1',
  'brainpoolP256r1',
  'brainpoolP384r1',
  'brainpoolP512r1',
]);

/** Whether there are any, each whole. Throws an Error whose message is the rule they break. */
export function checkAuthorities(pem: string): void {
  certificatesIn(pem);
}

/** One that may sign the certificates of clients. */
export interface ClientAuthority extends CertificateInfo {
  /** Who is not in the file, although without it this one counts for nothing. */
  missing: string | undefined;
}

/**
 * Reads those that clients' certificates are held against. OpenSSL goes on to a root: Node's servers cannot be
 * told to stop before it (their `allowPartialTrustChain` does nothing), so that where there is none, no client
 * is taken. Throws an Error whose message is the rule they break.
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

/** Clients sort what they are sent, so that the order says nothing. */
function issuerIn(some: ReadonlySet<X509Certificate>, of: X509Certificate) {
  if (isSelfSigned(of)) return undefined;
  for (const each of some) if (isSignedBy(of, each)) return each;
  return undefined;
}

function isSignedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

/** Whether its key usage lets it sign others, or not. */
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

/** Node gives none for an empty name. */
function oneLine(name: string | undefined): string {
  return name?.split('\n').join(', ') ?? '';
}

function isoOf(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}

/**
 * Looks at every one: OpenSSL leaves out what it cannot read, and a file may be half written, or two
 * put together without a new line between.
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

/** Each from its first line to its last; looks at no character again and again, however many there are. */
function blocksIn(pem: string, rule: string): string[] {
  return Array.from(pem.matchAll(/-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----/g), (begin) => {
    const [line] = begin;
    const bodyAt = begin.index + line.length;
    const lastLine = line.replace('BEGIN', 'END');
    // No character of base64.
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

/** Whether nothing but white space is left of a line. */
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
