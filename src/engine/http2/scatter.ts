/** What makes one process scatter otherwise than others. */
export type Secrets = readonly [number, number];

/** Two numbers of 32 bits, the second odd. No peer sees what else Math.random() gives. */
export function createSecrets(): Secrets {
  return [randomBits(), randomBits() | 1];
}

function randomBits(): number {
  return Math.floor(Math.random() * 2 ** 32);
}

const ours = createSecrets();

/**
 * Where something with this number goes in a hash table: 20 bits. Peers choose their numbers; those that
 * fall together in one process do not in another. The constants are of Ettinger's triple32
 * (https://github.com/skeeto/hash-prospector): a secret alone may be a bad factor.
 */
export function scatter(number: number, [first, second] = ours): number {
  let mixed = Math.imul(number ^ first, 0xed5ad4bb);
  mixed = Math.imul(mixed ^ (mixed >>> 11), second);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x31848bab);
  return mixed >>> 12;
}

/** Another number of 32 bits for each, for tables whose hash everybody knows, as V8's of numbers is. */
export function disguise(number: number): number {
  return Math.imul(number, ours[1]);
}
