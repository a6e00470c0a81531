import type { CallContext } from 'nice-grpc-common';
import type { GrpcServer } from '../../src/engine/index.ts';
import type { TlsFiles } from '../../src/engine/net/tls_options.ts';
import { EchoDefinition } from '../echo/gen/echo.ts';
import { createServer } from '../support/engine.ts';

/** A server of the echo service behind a recipe's middleware. Use with `await using`. */
export async function serveBehind<Ext>(
  use: (server: ReturnType<typeof createServer>) => GrpcServer<Ext>,
  {
    unary,
    tls,
  }: { unary: (text: string, context: CallContext & Ext) => Promise<string>; tls?: TlsFiles },
) {
  const server = use(createServer());
  server.add(EchoDefinition, {
    unary: async ({ text }, context) => ({ text: await unary(text, context) }),
    async *serverStream() {},
    clientStream: async () => ({}),
    async *bidi() {},
  });
  const port = await server.listen({ host: '127.0.0.1', port: 0 }, tls);
  return {
    address: `127.0.0.1:${port}`,
    shutdown: () => server.shutdown(),
    async [Symbol.asyncDispose]() {
      server.forceShutdown();
      await server.shutdown();
    },
  };
}
