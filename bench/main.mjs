// `npm run bench [http2|grpc|chain|web|scale]` compares this server with the alternatives. It takes about a quarter of
// an hour. Run it on a machine that does nothing else.
import { benchChain } from './chain.mjs';
import { benchGrpc } from './grpc.mjs';
import { benchHttp2 } from './http2.mjs';
import { h2load } from './rig.mjs';
import { benchScale } from './scale.mjs';
import { benchWeb } from './web.mjs';

const [, , part] = process.argv;
console.log(`node ${process.version}, ${h2load(['--version']).trim()}`);
if (part === undefined || part === 'http2') await benchHttp2();
if (part === undefined || part === 'grpc') await benchGrpc();
if (part === undefined || part === 'chain') await benchChain();
if (part === undefined || part === 'web') await benchWeb();
if (part === undefined || part === 'scale') await benchScale();
