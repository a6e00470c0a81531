import type { PeerCertificate } from 'node:tls';

/** One of a certificate's other names, as Node writes them: in quotes where it holds anything odd. */
const otherName = /(?<kind>[^:,]+):(?<value>"(?:[^"\\]|\\.)*"|[^,]*)(?:, |$)/gy;

/**
 * Whose certificate it is: its first URI, such as a SPIFFE id (X509-SVID, section 2), else its first
 * DNS name, else its common name (RFC 2818, section 3.1); undefined when it has none of them.
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
    if (kind === 'DNS' && value !== '') dns ??= unquoted(value);
  }
  const common = [subject.CN].flat().at(-1);
  return dns ?? (common === '' ? undefined : common);
}

function unquoted(value: string): string {
  return value.startsWith('"') ? String(JSON.parse(value)) : value;
}
