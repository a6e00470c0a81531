import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { createClient } from 'nice-grpc';
import { Status } from 'nice-grpc-common';
import { EchoReply, PingDefinition } from '../echo/gen/echo.ts';
import { withOwnCodec } from '../../src/transport/own_codec.ts';
import { usedMemory } from '../support/memory.ts';
import { dialChannel, serverTls } from '../support/tls.ts';
import { createEngine } from '../support/engine.ts';

/** The encoder of a message, as in the definitions that nice-grpc accepts. */
interface Encoder {
  encode(message: EchoReply, ...more: unknown[]): { finish(): Uint8Array };
}

/** echo.Ping/Ping with a foreign encoder. */
function encodedBy(encoder: Encoder) {
  const { ping } = PingDefinition.methods;
  const responseType = { ...EchoReply, ...encoder };
  return { ...PingDefinition, methods: { ping: { ...ping, responseType } } };
}

/** Serves responses that echo the request, with a foreign definition and with the project's, on one server. */
async function dial(name: 'direct' | 'grpc-js', definition: ReturnType<typeof encodedBy>) {
  const engine = await createEngine(name, { maxConcurrentStreams: 100, maxMessageSize: 10_000 });
  const own = withOwnCodec({ ...PingDefinition, fullName: 'Own' });
  const implementation = { ping: async ({ text }: { text: string }) => ({ text }) };
  engine.add(definition, implementation);
  engine.add(own, implementation);
  const channel = dialChannel(
    `127.0.0.1:${await engine.listen({ host: '127.0.0.1', port: 0 }, serverTls)}`,
  );
  const [foreignClient, ownClient] = [
    createClient(PingDefinition, channel),
    createClient(own, channel),
  ];
  const ask = async (client: typeof foreignClient, text: string) =>
    (await client.ping({ text })).text;
  return {
    foreign: (text: string) => ask(foreignClient, text),
    own: (text: string) => ask(ownClient, text),
    async [Symbol.asyncDispose]() {
      channel.close();
      await engine.shutdown();
    },
  };
}

/** The writer of protobufjs, which ts-proto 1 used: ldelim() is today's join(). */
class OldWriter {
  #bytes: number[] = [];
  readonly #outer: number[][] = [];

  uint32(value: number): this {
    this.#bytes.push(value);
    return this;
  }

  string(text: string): this {
    const bytes = Buffer.from(text);
    this.#bytes.push(bytes.length, ...bytes);
    return this;
  }

  fork(): this {
    this.#outer.push(this.#bytes);
    this.#bytes = [];
    return this;
  }

  ldelim(): this {
    const inner = this.#bytes;
    this.#bytes = [...(this.#outer.pop() ?? []), inner.length, ...inner];
    return this;
  }

  finish(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }
}

const encoders: Record<string, Encoder> = {
  'ignores whatever else it is given': {
    encode: (message) => EchoReply.encode(message),
  },
  'is told nothing but its message': {
    encode(message, ...more) {
      assert.deepEqual(more, []);
      return EchoReply.encode(message);
    },
  },
  'is that of ts-proto 1': {
    encode(message, writer: unknown = new OldWriter()) {
      assert.ok(writer instanceof OldWriter);
      // An unknown field with a nested message.
      writer.uint32(122).fork().uint32(10).string('inner').ldelim();
      return writer.uint32(10).string(message.text);
    },
  },
  'finishes its writer for another message first': {
    encode(message, writer: unknown = new BinaryWriter()) {
      assert.ok(writer instanceof BinaryWriter);
      const inner = EchoReply.encode({ text: 'inner' }, writer).finish();
      return EchoReply.encode(message, writer.uint32(122).bytes(inner));
    },
  },
};

for (const name of ['direct', 'grpc-js'] as const) {
  for (const [does, encoder] of Object.entries(encoders)) {
    test(`${name}: an encoder that ${does} sends its own messages, and damages no others`, async () => {
      await using client = await dial(name, encodedBy(encoder));

      for (const value of ['a', 'bc', '']) {
        assert.equal(await client.foreign(value), value);
        assert.equal(await client.own(value), value);
      }
    });
  }

  test(`${name}: an encoder that fails half-way ends its call with INTERNAL, and damages no others`, async (t) => {
    t.mock.method(process, 'emitWarning', () => {});
    const half = encodedBy({
      encode(message, writer: unknown = new BinaryWriter()) {
        assert.ok(writer instanceof BinaryWriter);
        EchoReply.encode(message, writer);
        throw new Error('half-way');
      },
    });
    await using client = await dial(name, half);

    await assert.rejects(client.foreign('a'), { code: Status.INTERNAL });
    assert.equal(await client.own('b'), 'b');
  });
}

test('withOwnCodec() encodes nested calls of the encoder separately', async () => {
  const own = withOwnCodec(PingDefinition);
  const { responseType } = own.methods.ping;
  const nesting = {
    get text() {
      return `<${EchoReply.decode(responseType.encode({ text: 'inner' }).finish()).text}>`;
    },
  };

  const bytes = responseType.encode(nesting).finish();

  assert.equal(EchoReply.decode(bytes).text, '<inner>');
  const broken = {
    get text(): string {
      throw new Error('half-way');
    },
  };
  assert.throws(() => responseType.encode(broken), /half-way/);
  assert.deepEqual(
    responseType.encode({ text: 'x' }).finish(),
    EchoReply.encode({ text: 'x' }).finish(),
  );
});

test('withOwnCodec() frees its buffer after a long message', async () => {
  const { responseType } = withOwnCodec(PingDefinition).methods.ping;
  // A flat string, not a concatenation.
  const text = Buffer.alloc(4 * 1024 * 1024, 'x').toString();
  responseType.encode({ text: 'x' });
  const before = await usedMemory();

  responseType.encode({ text });
  const kept = (await usedMemory()) - before;

  assert.ok(kept < 1024 * 1024, `${kept} bytes`);
});
