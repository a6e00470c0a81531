import { appendFileSync } from 'node:fs';
import { usedMemory } from './memory.ts';

/**
 * Loaded into a server before the program (`--import`): for each SIGUSR2 it collects all garbage, and adds a
 * line to the file LIVE_MEMORY with the bytes that are left.
 */
process.on('SIGUSR2', () => {
  void usedMemory().then((bytes) => appendFileSync(process.env['LIVE_MEMORY'] ?? '', `${bytes}\n`));
});
