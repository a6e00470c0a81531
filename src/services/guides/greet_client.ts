import { createInterface } from 'node:readline';
import { GreeterDefinition, type HelloRequest } from '../../gen/greet.ts';
import type { Io } from '../../cli/command.ts';
import { protoText } from './proto_text.ts';
import type { Connect } from './waiting.ts';

const menu = `1. SayHello - Unary
2. ParrotSayHello - Server Side Streaming
3. ChattyClientSayHello - Client Side Streaming
4. InteractiveSayHello - Both Streaming
`;

/** The greet guide's client: asks which call to make, and for names if the client streams. */
export async function greetGuide(
  connect: Connect,
  { write, error, input }: Pick<Io, 'write' | 'error' | 'input'>,
): Promise<number> {
  const client = connect(GreeterDefinition);
  const terminal = createInterface({ input });
  const lines = terminal[Symbol.asyncIterator]();
  const bello = { greeting: 'Bello', name: 'Keys' };

  try {
    write(menu);
    const choice = await ask('Which rpc would you like to make: ');
    switch (choice) {
      case undefined:
        write('\n');
        error('Cannot make a call: the input has ended, and must have 1, 2, 3 or 4');
        return 2;
      case '1':
        show('SayHello', await client.sayHello(bello));
        return 0;
      case '2':
        for await (const reply of client.parrotSayHello(bello)) show('ParrotSayHello', reply);
        return 0;
      case '3':
        show('ChattyClientSayHello', await client.chattyClientSayHello(names()));
        return 0;
      case '4':
        for await (const reply of client.interactiveSayHello(names())) {
          show('InteractiveSayHello', reply);
        }
        return 0;
      default:
        error(`Cannot make call "${choice}": must be 1, 2, 3 or 4`);
        return 2;
    }
  } finally {
    terminal.close();
  }

  async function* names(): AsyncGenerator<HelloRequest> {
    while (true) {
      const name = await ask('Please enter a name (or nothing to stop chatting): ');
      if (name === undefined) write('\nThe input has ended.\n');
      if (!name) return;
      yield { greeting: 'Bello', name };
    }
  }

  /** Reads a line of input; undefined at its end. */
  async function ask(question: string): Promise<string | undefined> {
    write(question);
    const { done, value } = await lines.next();
    return done ? undefined : value.trim();
  }

  function show(method: string, reply: object): void {
    write(`${method} Response Received:\n${protoText(reply)}\n`);
  }
}
