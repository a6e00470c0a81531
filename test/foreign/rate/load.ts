import { createRequire } from 'node:module';
import { join } from 'node:path';
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type * as GrpcJs from '@grpc/grpc-js';
import {
  SimpleRequest,
  SimpleResponse,
  StreamingInputCallRequest,
  StreamingInputCallResponse,
  StreamingOutputCallRequest,
  StreamingOutputCallResponse,
} from '../../../src/gen/grpc/testing/messages.ts';

// A load generator on grpc-js: calls of one kind, four at once, on one connection. It prints
// `ok COUNT`, and `failed COUNT REASON` for each reason.

const AT_ONCE = 4;
/** The number of messages in a stream, and the size of each in bytes. */
const MESSAGES = 3;
const SIZE = 100;
/** The deadline of a call in milliseconds. */
const DEADLINE = 20_000;

const { values: args } = parseArgs({
  options: {
    /** The folder of package.json with its installed dependencies. */
    folder: { type: 'string', default: '.' },
    /** The name of one of its two versions of grpc-js. */
    library: { type: 'string', default: 'grpc-js-now' },
    address: { type: 'string', default: '127.0.0.1:50051' },
    kind: { type: 'string', default: 'unary' },
    calls: { type: 'string', default: '1' },
    /** The file of the CA certificate; it enables TLS. */
    ca: { type: 'string' },
    /** A host name in the certificate. */
    name: { type: 'string', default: 'localhost' },
  },
});

const grpc: typeof GrpcJs = createRequire(join(args.folder, 'package.json'))(args.library);
const client = args.ca
  ? new grpc.Client(args.address, grpc.credentials.createSsl(readFileSync(args.ca)), {
      'grpc.ssl_target_name_override': args.name,
    })
  : new grpc.Client(args.address, grpc.credentials.createInsecure());

interface Message<T> {
  encode: (message: T) => { finish: () => Uint8Array };
  decode: (bytes: Uint8Array) => T;
}

const payload = { body: Buffer.alloc(SIZE) };
const wanted = { size: SIZE, intervalUs: 0, compressed: undefined };

const kinds: Readonly<Record<string, () => Promise<boolean>>> = {
  unary() {
    const request = SimpleRequest.fromPartial({ responseSize: SIZE, payload });
    return new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        ...method('UnaryCall', SimpleRequest, SimpleResponse),
        request,
        new grpc.Metadata(),
        soon(),
        (error, reply) => {
          if (error) reject(error);
          else resolve(reply?.payload?.body.length === SIZE);
        },
      );
    });
  },
  server_stream() {
    const request = StreamingOutputCallRequest.fromPartial({
      responseParameters: Array.from({ length: MESSAGES }, () => wanted),
    });
    return all(
      client.makeServerStreamRequest(
        ...method('StreamingOutputCall', StreamingOutputCallRequest, StreamingOutputCallResponse),
        request,
        new grpc.Metadata(),
        soon(),
      ),
    );
  },
  client_stream() {
    return new Promise((resolve, reject) => {
      const call = client.makeClientStreamRequest(
        ...method('StreamingInputCall', StreamingInputCallRequest, StreamingInputCallResponse),
        new grpc.Metadata(),
        soon(),
        (error, reply) => {
          if (error) reject(error);
          else resolve(reply?.aggregatedPayloadSize === MESSAGES * SIZE);
        },
      );
      const request = StreamingInputCallRequest.fromPartial({ payload });
      for (let sent = 0; sent < MESSAGES; sent++) call.write(request);
      call.end();
    });
  },
  bidi() {
    const call = client.makeBidiStreamRequest(
      ...method('FullDuplexCall', StreamingOutputCallRequest, StreamingOutputCallResponse),
      new grpc.Metadata(),
      soon(),
    );
    const request = StreamingOutputCallRequest.fromPartial({
      payload,
      responseParameters: [wanted],
    });
    for (let sent = 0; sent < MESSAGES; sent++) call.write(request);
    call.end();
    return all(call);
  },
};

const call = kinds[args.kind];
if (!call) throw new Error(`Cannot call: there is no kind "${args.kind}"`);
let left = Number(args.calls);
let ok = 0;
const failed = new Map<string, number>();
await Promise.all(Array.from({ length: AT_ONCE }, worker));
client.close();
console.log(`ok ${ok}`);
for (const [why, count] of failed) console.log(`failed ${count} ${why}`);

async function worker(): Promise<void> {
  while (left-- > 0) {
    const why = await outcome();
    if (why === undefined) ok++;
    else failed.set(why, (failed.get(why) ?? 0) + 1);
  }
}

/** Returns undefined if a call succeeds with the expected responses, and the reason if not. */
async function outcome(): Promise<string | undefined> {
  try {
    return (await call?.()) ? undefined : 'another reply';
  } catch (error) {
    return String(error).replaceAll(/\s+/g, ' ');
  }
}

function method<Request, Response>(
  name: string,
  request: Message<Request>,
  response: Message<Response>,
) {
  return [
    `/grpc.testing.TestService/${name}`,
    (message: Request) => Buffer.from(request.encode(message).finish()),
    response.decode,
  ] as const;
}

/** True if a stream returns the requested messages and ends with OK. */
async function all(
  stream: GrpcJs.ClientReadableStream<StreamingOutputCallResponse>,
): Promise<boolean> {
  const sizes: (number | undefined)[] = [];
  stream.on('data', (reply: StreamingOutputCallResponse) => {
    sizes.push(reply.payload?.body.length);
  });
  await new Promise<void>((resolve, reject) => {
    stream.on('error', reject);
    stream.on('status', ({ code }: GrpcJs.StatusObject) => {
      if (code === grpc.status.OK) resolve();
    });
  });
  return sizes.length === MESSAGES && sizes.every((size) => size === SIZE);
}

function soon(): { deadline: number } {
  return { deadline: Date.now() + DEADLINE };
}
