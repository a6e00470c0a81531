import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { test } from 'node:test';
import { certificate } from '../test/support/certificate.ts';
import {
  checkAuthorities,
  checkClientAuthorities,
  checkPair,
  checkServerPair,
} from './certificates.ts';

const root = await certificate({ name: 'root' });
const intermediate = await certificate({ name: 'intermediate', signer: root, isAuthority: true });
const [leaf, other, ofClient, ofServer] = await Promise.all([
  certificate({ signer: intermediate }),
  certificate(),
  certificate({ usage: 'clientAuth' }),
  certificate({ usage: 'serverAuth' }),
]);
const key = createPrivateKey(leaf.key);
const encrypted = { cipher: 'aes-256-cbc', passphrase: 'x', format: 'pem' } as const;
const whole = 'must hold certificates in PEM, each of them whole';
const pair = 'must be a certificate and its key';

/** On secp256k1, which no certificate of TLS 1.3 can have; OpenSSL made it. */
const koblitz = {
  key: `-----BEGIN EC PRIVATE KEY-----
MHQCAQEEIM90GvU72S/z54xSPKzNYA2nLXQoy17P60XVtaxOy1OWoAcGBSuBBAAK
oUQDQgAEJmbhGmwovwIe2tZNeesuVSDlY1FT/QlmsIuHgH5uKnIK1l+KVfjcMbmc
mZ7IH0uhOesO+a90DHJBcJKVVM3IbQ==
-----END EC PRIVATE KEY-----
`,
  cert: `-----BEGIN CERTIFICATE-----
MIIBkzCCATigAwIBAgIUIGNBezu9XTxD+VHkeYUf6Z/omQ4wCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyOTE4NTE1MFoYDzIxMjYxMTA1
MTg1MTUwWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwVjAQBgcqhkjOPQIBBgUrgQQA
CgNCAAQmZuEabCi/Ah7a1k156y5VIOVjUVP9CWawi4eAfm4qcgrWX4pV+NwxuZyZ
nsgfS6E56w75r3QMckFwkpVUzchto2kwZzAdBgNVHQ4EFgQUnsSNdcbuNgYH3vRI
Cdg8uQmePdswHwYDVR0jBBgwFoAUnsSNdcbuNgYH3vRICdg8uQmePdswDwYDVR0T
AQH/BAUwAwEB/zAUBgNVHREEDTALgglsb2NhbGhvc3QwCgYIKoZIzj0EAwIDSQAw
RgIhAKdqq+i3G83sPhDeD7cllEzxg9Gtr3BC48y8MNEBuPN2AiEAklg7jbi1ZeN9
izor42VOOkeBCM+w3rsPocJdmufiC2o=
-----END CERTIFICATE-----
`,
};

for (const [what, { cert, key: itsKey }, rule] of [
  [
    'a key with a passphrase (PKCS #8)',
    { ...leaf, key: key.export({ type: 'pkcs8', ...encrypted }) },
    'the key must not be encrypted: take its passphrase away, with "openssl pkey -in OLD -out NEW"',
  ],
  [
    'a key with a passphrase (PKCS #1)',
    { ...leaf, key: key.export({ type: 'pkcs1', ...encrypted }) },
    'the key must not be encrypted: take its passphrase away, with "openssl pkey -in OLD -out NEW"',
  ],
  [
    'the intermediate first',
    { ...leaf, cert: `${intermediate.cert}\n${leaf.cert}` },
    `${pair}: that of the key is number 2 of the file, and must be the first`,
  ],
  ['another key', { ...leaf, key: other.key }, `${pair}: the key is that of another`],
  [
    'a byte order mark',
    { ...leaf, cert: `\u{FEFF}${leaf.cert}` },
    `${whole}: save it without the byte order mark that it has`,
  ],
  ['two in one line', { ...leaf, cert: leaf.cert.trim() + intermediate.cert }, whole],
  ['half of one', { ...leaf, cert: leaf.cert.slice(0, 500) }, whole],
  ['half of the second', { ...leaf, cert: `${leaf.cert}\n${root.cert.slice(0, 99)}` }, whole],
  ['one that is indented', { ...leaf, cert: leaf.cert.replaceAll(/^/gm, '  ') }, whole],
  ['no certificate', { ...leaf, cert: '' }, whole],
  [
    'a certificate for clients alone',
    ofClient,
    'the certificate must be one for servers: its extended key usage has no serverAuth',
  ],
  [
    'a key on secp256k1',
    koblitz,
    'the key must be on a curve that TLS has, such as prime256v1: not secp256k1',
  ],
] as const) {
  test(`checkServerPair() names the problem and its solution: ${what}`, () => {
    assert.throws(() => checkServerPair({ cert, key: itsKey }), { message: rule });
  });
}

test('checkPair() accepts certificates for clients only', () => {
  assert.equal(checkPair(ofClient).leaf.subject, 'CN=localhost');
});

test('checkServerPair() accepts text around certificates, white space and any line breaks', () => {
  const cert = `# ours\n${leaf.cert.trim()}  \n\nintermediate:\n${intermediate.cert}`;

  for (const text of [cert, cert.replaceAll(/\r?\n/g, '\r\n')]) {
    assert.equal(checkServerPair({ cert: text, key: leaf.key }).length, 2);
  }
  assert.equal(checkServerPair(ofServer).length, 1);
});

test('checkServerPair() reports the length of the chain and the missing issuer', () => {
  const of = (...signers: { cert: string }[]) => {
    const cert = [leaf, ...signers].map((each) => each.cert).join('\n');
    const { length, more, missing } = checkServerPair({ cert, key: leaf.key });
    return [length, more.length, missing];
  };

  assert.deepEqual(of(), [1, 0, 'CN=intermediate']);
  assert.deepEqual(of(intermediate), [2, 1, 'CN=root']);
  assert.deepEqual(of(intermediate, root), [3, 2, undefined]);
  assert.deepEqual(of(root, intermediate), [3, 2, undefined]);
  assert.deepEqual(of(root), [1, 1, 'CN=intermediate']);
  assert.deepEqual(of(intermediate, other), [2, 2, 'CN=root']);
});

test('checkClientAuthorities() requires a root, and names the missing one', () => {
  const of = (...certificates: { cert: string }[]) =>
    checkClientAuthorities(certificates.map(({ cert }) => cert).join('\n')).map(
      ({ subject, missing }) => [subject, missing],
    );

  assert.deepEqual(of(root), [['CN=root', undefined]]);
  assert.deepEqual(of(intermediate, root), [
    ['CN=intermediate', undefined],
    ['CN=root', undefined],
  ]);
  assert.deepEqual(of(other, intermediate), [
    ['CN=localhost', undefined],
    ['CN=intermediate', 'CN=root'],
  ]);
  const message = 'must hold a root: "CN=root", to which "CN=intermediate" leads, is missing';
  assert.throws(() => of(intermediate), { message });
});

test('checkAuthorities() takes linear time for many empty lines', () => {
  // A pattern that goes back takes 12 s for 200,000 of them, and an hour for these.
  const lines = '\n'.repeat(4_000_000);
  const cert = root.cert.replace('-----BEGIN CERTIFICATE-----', (line) => line + lines);

  assert.throws(() => checkAuthorities(cert));
  assert.throws(() => checkAuthorities(cert.replace(/-----END.*/s, '')), { message: whole });
});
