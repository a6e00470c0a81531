// An echo on src/engine/http2.
import { serveEcho } from '../../test/support/http2_echo.ts';

const { plain: port } = await serveEcho();
console.log(JSON.stringify({ port }));
