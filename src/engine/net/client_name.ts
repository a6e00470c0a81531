import type { PeerCertificate } from 'node:tls';

/** A subject alternative name in Node's format: quoted if it contains special characters. */
const otherName = /(?<kind>[^:,]+):(?<value>"(?:[^"\\]|\\.)*"|[^,]*)(?:, |$)/gy;

/** The scheme of a URI (RFC 3986 section 3.1), which no host name contains. */
const scheme = /^[a-z][a-z\d+.-]*:/i;

/**
 * The name of a certificate: its first URI, such as a SPIFFE ID (X509-SVID section 2), else its first DNS name, else
 * its common name (RFC 2818 section 3.1); undefined if it has none. A CA may validate URIs only, so a DNS name that
 * looks like a URI is ignored, and a common name is written `CN=…`.
 */
export function clientName({
  subject,
  subjectaltname = '',
}: Pick<PeerCertificate, 'subject' | 'subjectaltname'>): string | undefined {
  let dns: string | undefined;
  otherName.lastIndex = 0;
  for (let match; (match = otherName.exec(subjectaltname));) {
    const { kind, value = '' } = match.groups ?? {};
    if (kind === 'URI' && value !== '') return unquoted(value);
    if (kind === 'DNS' && value !== '' && !scheme.test(unquoted(value))) dns ??= unquoted(value);
  }
  const common = [subject.CN].flat().at(-1);
  if (dns !== undefined || !common) return dns;
  return scheme.test(common) ? `CN=${common}` : common;
}

function unquoted(value: string): string {
  return value.startsWith('"') ? String(JSON.parse(value)) : value;
}
