// The server of @connectrpc/connect-node with the greeter of the guides, without interceptors. The argument is the
// version of HTTP.
import { createFileRegistry, fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { createServer } from 'node:http';
import { createServer as createHttp2Server } from 'node:http2';
import { descriptorSet } from '../../src/gen/descriptor_set.ts';

const files = fromBinary(FileDescriptorSetSchema, Buffer.from(descriptorSet, 'base64'));
const greeter = createFileRegistry(files).getService('helloworld.Greeter');
if (!greeter) throw new Error('Cannot find the service "helloworld.Greeter" among the descriptors');

const handler = connectNodeAdapter({
  routes: (router) =>
    router.service(greeter, {
      sayHello: ({ name }: { name: string }) => ({ message: `Hello ${name}` }),
    }),
});
const server = process.argv[2] === '2' ? createHttp2Server(handler) : createServer(handler);
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify(server.address())));
