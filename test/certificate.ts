import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { generate } from 'selfsigned';

/** A certificate for this machine, which signs itself, and its key; PEM. */
export async function localCertificate(): Promise<{ cert: string; key: string }> {
  const altNames = [
    { type: 2 as const, value: 'localhost' },
    { type: 7 as const, ip: '127.0.0.1' },
    { type: 7 as const, ip: '::1' },
  ];
  const { cert, private: key } = await generate([{ name: 'commonName', value: 'localhost' }], {
    algorithm: 'sha256',
    extensions: [
      { name: 'basicConstraints', cA: true },
      { name: 'subjectAltName', altNames },
    ],
  });
  return { cert, key };
}

// Started for foreign clients: writes cert.pem and key.pem into a folder.
if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { cert, key } = await localCertificate();
  const folder = process.argv[2] ?? '.';
  writeFileSync(join(folder, 'cert.pem'), cert);
  writeFileSync(join(folder, 'key.pem'), key);
}
