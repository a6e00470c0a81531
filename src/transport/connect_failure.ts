import type { Target } from './client.ts';

/** The TLS options that help to explain a failed connection. */
export type Dialled = Pick<Target, 'tls'>;

type Words = string | ((found: RegExpExecArray, dialled: Dialled) => string);

/** Errors of Node's sockets and OpenSSL with their explanations; the first match wins. */
const causes: readonly (readonly [RegExp, Words])[] = [
  [/\bECONNREFUSED\b/, 'connection refused'],
  [/\bENOENT\b/, 'there is no such socket'],
  [/\bEACCES\b/, 'permission denied'],
  [/\bEHOSTUNREACH\b/, 'no route to the host'],
  [/\bENETUNREACH\b/, 'the network is unreachable'],
  [/\bETIMEDOUT\b/, 'no answer'],
  [
    /^Name resolution failed for target (?:dns:)?(?<name>.*)/,
    ([, name]) => `no address for "${name}"`,
  ],
  // grpc-js writes the reason to standard error itself.
  [/^undefined$/, 'the proxy makes no connection'],
  [
    /ERR_TLS_CERT_ALTNAME_INVALID.*altnames: (?<why>.*)/,
    ([, why]) => `the certificate of the server has another name: ${why}`,
  ],
  [
    /(?<why>self-signed certificate[a-z ]*|unable to (?:get|verify)[a-z ]* certificate)/,
    ([, why]) => `the certificate of the server is signed by an unknown authority: ${why}`,
  ],
  [
    /(?<why>[a-z][a-z ]* certificate\b|certificate [a-z ]+|\w+ (?:key|digest) too \w+)[a-z ]*$/i,
    ([, why]) => `the certificate of the server cannot be used: ${why}`,
  ],
  [
    /alert (?<alert>certificate required|bad certificate|unsupported certificate|certificate \w+|unknown ca|access denied)\b/,
    ([, alert], { tls }) =>
      tls?.clientCertificate
        ? `the server refuses the client certificate: ${alert}`
        : `the server wants a client certificate: ${alert}`,
  ],
  [
    /alert handshake failure/,
    (_, { tls }) =>
      `the server refuses the handshake${tls?.clientCertificate ? '' : ': it may want a client certificate'}`,
  ],
  [
    /alert protocol version/,
    'the server refuses the handshake: it takes no version of TLS that we have',
  ],
  [/alert no application protocol/, 'the server refuses the handshake: it speaks no HTTP/2'],
  [/alert (?<alert>[a-z ]+)/, ([, alert]) => `the server refuses the handshake: ${alert}`],
  [
    /wrong version number|packet length too long|record layer failure|http request/,
    'the server does not speak TLS: it answers in plaintext',
  ],
  [/before secure TLS connection/, 'the server closes the connection in the handshake'],
  [
    /^(?:Failed to connect|Socket closed)$|\bECONNRESET\b/,
    (_, { tls }) => `the server closes the connection${tls ? refused(tls) : ': it may want TLS'}`,
  ],
  [
    /^Protocol error$/,
    (_, { tls }) => `the server does not speak HTTP/2${tls ? '' : ': it may want TLS'}`,
  ],
];

/** Explains why a call has no connection, if grpc-js's message says so. */
export function connectFailure(details: string, dialled: Dialled): string | undefined {
  const [, said = ''] =
    /^No connection established\. Last error: (.*?)(?: \(\d[^)]*\))?\. Resolution note: /s.exec(
      details,
    ) ??
    /^(Name resolution failed.*)/.exec(details) ??
    [];
  if (said === '') return undefined;
  // Advice for Node's developers.
  const [text = ''] = said
    .replace(/; if the root CA is installed locally.*/s, '')
    .trim()
    .split('\n');
  const plain = text.replace(/^Error: /, '');
  for (const [pattern, words] of causes) {
    const found = pattern.exec(plain);
    if (found) return typeof words === 'string' ? words : words(found, dialled);
  }
  return plain;
}

/** With TLS 1.3, a server verifies the client's certificate after the client's handshake is complete. */
function refused({ clientCertificate }: NonNullable<Dialled['tls']>): string {
  return clientCertificate
    ? ': it may not take the client certificate'
    : ': it may want a client certificate';
}
