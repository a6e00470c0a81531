// Holds connections with open streams until it is killed: PORT CONNECTIONS STREAMS_EACH.
import { encodeHeaders } from '../src/engine/http2/hpack/encoder.ts';
import { openCall } from './grpc.mjs';
import { open } from './memory.mjs';

const [port = 0, connections = 0, streamsEach = 0] = process.argv.slice(2).map(Number);
const block = encodeHeaders(openCall);
for (let i = 0; i < connections; i++) await open(port, streamsEach, block);
process.send?.('ready');
