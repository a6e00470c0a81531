import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { certificate } from '../../support/certificate.ts';

// Writes the certificates for TLS clients and their servers into a folder: NAME.pem, with the intermediate that
// signed it, and NAME.key.
const folder = process.argv[2] ?? '.';
const [first, second, clients] = await Promise.all([
  chain('first'),
  chain('second'),
  chain('client'),
]);
const [expired, stranger] = await Promise.all([
  certificate({ name: 'expired', signer: clients.intermediate, ...until(Date.now() - 3_600_000) }),
  certificate({ name: 'stranger' }),
]);

for (const { name, root, intermediate, leaf } of [first, second, clients]) {
  write(`${name}.pem`, leaf.cert, intermediate.cert);
  write(`${name}.key`, leaf.key);
  write(`${name}_root.pem`, root.cert);
}
write('roots.pem', first.root.cert, second.root.cert);
write('bare.pem', clients.leaf.cert);
write('bare.key', clients.leaf.key);
write('expired.pem', expired.cert, clients.intermediate.cert);
write('expired.key', expired.key);
write('stranger.pem', stranger.cert);
write('stranger.key', stranger.key);

/** A certificate that is signed by an intermediate, which a root signed. */
async function chain(name: string) {
  const root = await certificate({ name: `${name} root` });
  const intermediate = await certificate({
    name: `${name} intermediate`,
    signer: root,
    isAuthority: true,
  });
  return { name, root, intermediate, leaf: await certificate({ name, signer: intermediate }) };
}

function until(end: number): { notBefore: Date; notAfter: Date } {
  return { notBefore: new Date(end - 86_400_000), notAfter: new Date(end) };
}

function write(file: string, ...pems: string[]): void {
  writeFileSync(join(folder, file), pems.map((pem) => `${pem.trim()}\n`).join(''));
}
