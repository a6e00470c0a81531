// The same echo as http2_echo.ts, on node:http2.
import { createServer } from 'node:http2';

const server = createServer();
server.on('stream', (stream) => {
  stream.respond({ ':status': 200 });
  stream.pipe(stream);
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  console.log(JSON.stringify({ port: typeof address === 'object' ? address?.port : undefined }));
});
