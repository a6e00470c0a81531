import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient } from 'nice-grpc';
import { Status } from 'nice-grpc-common';
import { answerTo } from '../../../test/support/grpc_answer.ts';
import { serve } from '../../../test/support/harness.ts';
import { connectRaw, frame } from '../../../test/support/raw_client.ts';
import { HelloDefinition } from '../../gen/hello.ts';
import { GreeterDefinition } from '../../gen/helloworld.ts';
import { SampleServiceDefinition } from '../../gen/sample.ts';
import { ServerReflectionDefinition } from '../../gen/grpc/reflection/v1/reflection.ts';
import { UnaryDefinition } from '../../gen/unary.ts';
import { pathsOf } from '../../transport/paths.ts';
import { guides } from './guides.ts';
import { readGuideSettings } from './settings.ts';

const texts = ['you', '', 'žluťoučký 🐎', '"quoted" \\ and\nbroken'];

test('unary.Unary/GetServerResponse confirms the message', async () => {
  await using running = await serve();
  const client = createClient(UnaryDefinition, running.channel);

  for (const text of texts) {
    assert.deepEqual(await client.getServerResponse({ message: text }), {
      message: `Hello I am up and running received "${text}" message from you`,
      received: true,
    });
  }
});

test('Hello/Hello greets the value', async () => {
  await using running = await serve();
  const client = createClient(HelloDefinition, running.channel);

  for (const text of texts) {
    assert.deepEqual(await client.hello({ value: text }), { value: `Hello ${text}` });
  }
});

test('SampleService/Call replies to the message', async () => {
  await using running = await serve();
  const client = createClient(SampleServiceDefinition, running.channel);

  for (const text of texts) {
    assert.deepEqual(await client.call({ message: text }), { reply: `reply for ${text}` });
  }
});

test('helloworld.Greeter/SayHello greets by name', async () => {
  await using running = await serve();
  const client = createClient(GreeterDefinition, running.channel);

  for (const text of texts) {
    assert.deepEqual(await client.sayHello({ name: text }), { message: `Hello, ${text}!` });
  }
});

test("a string that is not UTF-8 ends a call of every guide's method with INTERNAL", async () => {
  await using running = await serve();
  const client = await connectRaw(running.address);
  // Field 1 of each request is a string.
  const body = frame(Buffer.from([0x0a, 1, 0xff]));

  for (const path of guides.flatMap(({ definition }) => pathsOf(definition))) {
    const { headers, trailers } = await answerTo(client, { path, body });
    const status = trailers?.['grpc-status'] ?? headers['grpc-status'];
    assert.equal(Number(status), Status.INTERNAL, path);
  }
  client.close();
});

test('reflection finds the symbols of a guide without a package', async () => {
  await using running = await serve();
  const client = createClient(ServerReflectionDefinition, running.channel);
  const symbols = ['Hello', 'Hello.Hello', 'HelloRequest', 'HelloRequest.value'];
  async function* questions() {
    for (const fileContainingSymbol of symbols) yield { fileContainingSymbol };
    yield { fileByFilename: 'hello.proto' };
  }

  const answers = await Array.fromAsync(client.serverReflectionInfo(questions()));

  const files = answers.map((answer) => answer.fileDescriptorResponse?.fileDescriptorProto[0]);
  assert.equal(files.length, symbols.length + 1);
  for (const file of files) assert.deepEqual(file, files[0] ?? assert.fail('found no file'));
});

test('--parrot-interval is 3 s by default', () => {
  const settings = readGuideSettings((_name, { fallback, parse }) => parse(fallback));

  assert.deepEqual(settings, { parrotInterval: 3000 });
});
