// Makes a copy of this very Node that has only what greeter needs of it: node release/small_node.ts FILE
import { copyFileSync } from 'node:fs';
import { platformHere } from './platforms.ts';
import { shrink } from './shrink.ts';
import { strip } from './strip.ts';

const file = process.argv[2] ?? 'node';
copyFileSync(process.execPath, file);
strip(file, platformHere());
shrink(file);
