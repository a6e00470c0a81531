import { appendFileSync } from 'node:fs';
import { usedMemory } from './memory.ts';

/**
 * Loaded into a server before the program (`--import`): at each SIGUSR2 it collects garbage, and appends the
 * remaining bytes to the file LIVE_MEMORY.
 */
process.on('SIGUSR2', () => {
  void usedMemory().then((bytes) => appendFileSync(process.env['LIVE_MEMORY'] ?? '', `${bytes}\n`));
});
