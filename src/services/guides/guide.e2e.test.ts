import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { createServer as createTcpServer } from 'node:net';
import { test } from 'node:test';
import { createServer } from 'nice-grpc';
import { HelloDefinition } from '../../gen/hello.ts';
import { install } from '../../../test/support/program.ts';
import { listenTcp } from '../../../test/support/tcp.ts';

const menu = `1. SayHello - Unary
2. ParrotSayHello - Server Side Streaming
3. ChattyClientSayHello - Client Side Streaming
4. InteractiveSayHello - Both Streaming
Which rpc would you like to make: `;
const question = 'Please enter a name (or nothing to stop chatting): ';

/** The output of a guide's client, with this input. */
async function play(
  name: string,
  { args = [], input = '' }: { args?: string[]; input?: string } = {},
) {
  using program = install();
  const { address } = await program.serve(['--parrot-interval', '1ms']);
  const { code, out, err } = await program.run(['guide', name, '--addr', address, ...args], {
    input,
  });
  assert.deepEqual({ code, err }, { code: 0, err: '' });
  return out;
}

test('guide unary prints both fields of the reply', async () => {
  const reply = String.raw`message: "Hello I am up and running received \"Hello Server you there?\" message from you"
received: true
`;
  assert.equal(await play('unary'), reply);
});

test('guide unary sends the text of --message', async () => {
  const out = await play('unary', { args: ['--message', 'hi'] });
  assert.match(out, /received \\"hi\\" message/);
});

test("guide hello, sample and helloworld print what the guides' clients print", async () => {
  assert.equal(await play('hello'), 'Hello World\n');
  assert.equal(await play('sample'), 'request : test message\nresponse : reply for test message\n');
  assert.equal(await play('helloworld'), 'Greeter client received: Hello, you!\n');
});

test('guide greet makes the unary call', async () => {
  const out = await play('greet', { input: '1\n' });
  assert.equal(out, `${menu}SayHello Response Received:\nmessage: "Bello Keys!"\n\n`);
});

test('guide greet prints each reply of the server stream', async () => {
  const out = await play('greet', { input: '2\n' });
  const replies = [1, 2, 3].map(
    (i) => `ParrotSayHello Response Received:\nmessage: "Bello Keys ${i}!"\n\n`,
  );
  assert.equal(out, menu + replies.join(''));
});

test('guide greet asks for names until an empty line, and prints the summary', async () => {
  const out = await play('greet', { input: '3\nAda\nBob\n\nnever asked for\n' });
  assert.equal(
    out,
    `${menu}${question.repeat(3)}ChattyClientSayHello Response Received:
message: "You have sent 2 messages! Please expect a delayed response..."
request {
  name: "Ada"
  greeting: "Bello"
}
request {
  name: "Bob"
  greeting: "Bello"
}

`,
  );
});

test('guide greet chats until the end of input', async () => {
  const out = await play('greet', { input: '4\nAda\nBob' });
  assert.equal(out.split(question).length - 1, 3);
  assert.match(out, /^The input has ended\.$/m);
  assert.match(out, /InteractiveSayHello Response Received:\nmessage: "Bello Ada!"\n\n/);
  assert.match(out, /InteractiveSayHello Response Received:\nmessage: "Bello Bob!"\n\n/);
});

test('guide greet rejects an invalid choice', async () => {
  using program = install();

  const { code, err } = await program.run(['guide', 'greet'], { input: '5\n' });

  assert.equal(err, 'Cannot make call "5": must be 1, 2, 3 or 4\n');
  assert.equal(code, 2);
});

test('guide greet reports the end of input before a choice', async () => {
  using program = install();

  const { code, out, err } = await program.run(['guide', 'greet']);

  assert.equal(out, `${menu}\n`);
  assert.equal(err, 'Cannot make a call: the input has ended, and must have 1, 2, 3 or 4\n');
  assert.equal(code, 2);
});

test("guide dials the guide's port if --addr has none", async () => {
  using program = install();
  const errorOf = async (name: string, addr: string) =>
    (await program.run(['guide', name, '--addr', addr])).err;
  // Nothing can listen there.
  const dialled = await Promise.all([
    errorOf('hello', '255.255.255.255'),
    errorOf('sample', '255.255.255.255'),
    errorOf('hello', '255.255.255.255:1'),
  ]);

  assert.deepEqual(
    dialled.map((err) => /^Cannot call (\S+): /.exec(err)?.[1]),
    ['255.255.255.255:50051', '255.255.255.255:9999', '255.255.255.255:1'],
  );
});

test('guide reports invalid arguments, and exits 2', async () => {
  using program = install();

  const { code, err } = await program.run(['guide', 'nope', 'more', '--addr', '--loud']);

  assert.equal(
    err,
    `Cannot run this guide:
  "more": unexpected argument
  --loud: unknown flag
  --addr: needs a value
  "nope": must be one of unary, hello, sample, helloworld, greet
`,
  );
  assert.equal(code, 2);
});

test('guide names the guides if none is given, and exits 2', async () => {
  using program = install();

  const { code, err } = await program.run(['guide']);

  const names = 'unary, hello, sample, helloworld, greet';
  assert.equal(err, `Cannot run this guide:\n  NAME: is missing; must be one of ${names}\n`);
  assert.equal(code, 2);
});

test('guide reports that nothing answers, and exits 1', async () => {
  using program = install();

  const { code, err } = await program.run(['guide', 'hello', '--addr', '127.0.0.1:1']);

  assert.match(err, /^Cannot call 127\.0\.0\.1:1: .*UNAVAILABLE/);
  assert.equal(code, 1);
});

test('guide sends a --message that begins with a dash', async () => {
  for (const message of ['-5 degrees', '--addr', '-', '--']) {
    const out = await play('hello', { args: ['--message', message] });
    assert.equal(out, `Hello ${message}\n`);
  }
});

test('guide rejects an invalid address, and exits 2', async () => {
  using program = install();

  for (const addr of ['', 'a\nb']) {
    const { code, err } = await program.run(['guide', 'hello', '--addr', addr]);
    assert.match(err, /^Cannot run this guide:\n  --addr ".*": Could not parse [^\n]*\n/s);
    assert.doesNotMatch(err, /^ +at /m);
    assert.equal(code, 2);
  }
});

test('guide greet makes no call if its output is closed', async (t) => {
  using program = install();
  const server = await program.serve();
  const reader = spawn('sh', ['-c', 'exec <&-; echo closed; exec sleep 600']);
  t.after(() => reader.kill());
  await once(reader.stdout, 'data');

  const { code, err } = await program.run(['guide', 'greet', '--addr', server.address], {
    input: '1\n',
    out: reader.stdin,
  });

  assert.deepEqual({ code, err }, { code: 1, err: '' });
  await program.run(['guide', 'hello', '--addr', server.address]);
  await server.log.line({ 'rpc.method': 'Hello/Hello' });
  assert.ok(!server.log.lines.some((line) => line['rpc.method'] === 'greet.Greeter/SayHello'));
});

test('guide greet ends with one line if the disk is full', async (t) => {
  using program = install();
  const { address } = await program.serve(['--parrot-interval', '1ms']);
  const full = openSync('/dev/full', 'w');
  t.after(() => closeSync(full));

  const { code, err } = await program.run(['guide', 'greet', '--addr', address], {
    input: '2\n',
    out: full,
  });

  assert.equal(err, 'Cannot write to standard output: ENOSPC: no space left on device, write\n');
  assert.equal(code, 1);
});

test('guide reports that it waits for a connection, or for a response', async (t) => {
  using program = install();
  const silent = createTcpServer();
  t.after(() => silent.close());
  const mute = createServer();
  mute.add(HelloDefinition, { hello: () => new Promise(() => {}) });
  const port = await mute.listen('127.0.0.1:0');
  t.after(() => mute.forceShutdown());
  const wait = (addr: string) =>
    program.run(['guide', 'hello', '--addr', addr], { stopAt: /Waiting .*\n/ });
  const [unconnected, unanswered] = [`127.0.0.1:${await listenTcp(silent)}`, `127.0.0.1:${port}`];

  const [first, second] = await Promise.all([wait(unconnected), wait(unanswered)]);

  assert.equal(first.err, `Waiting for a connection to ${unconnected}\n`);
  assert.equal(second.err, `Waiting for ${unanswered} to answer /Hello/Hello\n`);
});

test('guide connects to this machine without a proxy', async () => {
  using program = install();
  const { address } = await program.serve();
  const proxy = 'http://127.0.0.1:1';
  const env = { grpc_proxy: proxy, https_proxy: proxy, http_proxy: proxy };

  const { code } = await program.run(['guide', 'hello', '--addr', `dns:///${address}`], { env });

  assert.equal(code, 0);
});

test('guide escapes what a server sends, so that it cannot control the terminal', async () => {
  const out = await play('hello', { args: ['--message', '\u001B[2Jé'] });

  assert.equal(out, 'Hello \\u001b[2Jé\n');
});

test('guide ends at once at SIGTERM while it waits for a server', async (t) => {
  using program = install();
  const silent = createTcpServer((socket) => void socket.on('error', () => {}));
  t.after(() => silent.close());
  const address = `127.0.0.1:${await listenTcp(silent)}`;
  let pid = 0;
  const connected = once(silent, 'connection');
  const ended = program.run(['guide', 'hello', '--addr', address], {
    onStart: (started) => (pid = started),
  });
  await connected;

  process.kill(pid, 'SIGTERM');

  assert.partialDeepStrictEqual(await ended, { out: '', err: '' });
});

test('serve suggests a first call that a guide makes', async () => {
  using program = install();
  const server = await program.serve();

  const { try: line } = await server.log.line({ msg: 'serving' });

  assert.equal(line, `${program.command} guide hello --addr ${server.address}`);
  assert.equal((await program.type(line)).out, 'Hello World\n');
});
