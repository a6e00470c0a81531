import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient } from 'nice-grpc';
import { serve } from '../../test/harness.ts';
import { HelloDefinition } from '../gen/hello.ts';
import { GreeterDefinition } from '../gen/helloworld.ts';
import { SampleServiceDefinition } from '../gen/sample.ts';
import { UnaryDefinition } from '../gen/unary.ts';

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

test('Hello/Hello says hello to the value', async () => {
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
