import type { PeerCertificate } from 'node:tls';

/** One of a certificate's other names, as Node writes them: in quotes where it holds anything odd. */
const otherName = /(?<kind>[^:,]+):(?<value>"(?:[^"\\]|\\.)*"|[^,]*)(?:, |$)/gy;

/** How a URI begins (RFC 3986, section 3.1), and no name of a host. */
const scheme = /^[a-z][a-z\d+.-]*:/i;

/**
 * Whose certificate it is: its first URI, such as a SPIFFE id (X509-SVID, section 2), else its first
 * DNS name, else its common name (RFC 2818, section 3.1); undefined when it has none of them. An authority
 * that looks at URIs need not look at the others: what would read as one is no DNS name, and as a common
 * name it is `CN=…`.
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
