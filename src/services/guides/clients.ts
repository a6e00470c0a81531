import { HelloDefinition } from '../../gen/hello.ts';
import { GreeterDefinition as HelloworldDefinition } from '../../gen/helloworld.ts';
import { SampleServiceDefinition } from '../../gen/sample.ts';
import { UnaryDefinition } from '../../gen/unary.ts';
import type { Io } from '../../cli/command.ts';
import { greetGuide } from './greet_client.ts';
import { protoText } from './proto_text.ts';
import type { Connect } from './waiting.ts';

/** The client of one guide: its requests and its output. */
export interface Guide {
  /** The port it dials. */
  port: number;
  /** Makes its calls, with `message` instead of its own text; returns the exit code. */
  run(connect: Connect, io: Io, message: string | undefined): Promise<number>;
}

const unary: Guide = {
  port: 50_051,
  async run(connect, { write }, message = 'Hello Server you there?') {
    const response = await connect(UnaryDefinition).getServerResponse({ message });
    write(protoText(response));
    return 0;
  },
};

const hello: Guide = {
  port: 50_051,
  async run(connect, { write }, value = 'World') {
    const response = await connect(HelloDefinition).hello({ value });
    write(`${response.value}\n`);
    return 0;
  },
};

const sample: Guide = {
  port: 9999,
  async run(connect, { write }, message = 'test message') {
    const client = connect(SampleServiceDefinition);
    write(`request : ${message}\n`);
    const { reply } = await client.call({ message });
    write(`response : ${reply}\n`);
    return 0;
  },
};

const helloworld: Guide = {
  port: 50_051,
  async run(connect, { write }, name = 'you') {
    const { message } = await connect(HelloworldDefinition).sayHello({ name });
    write(`Greeter client received: ${message}\n`);
    return 0;
  },
};

/** The guides by name. */
export const guides: ReadonlyMap<string, Guide> = new Map([
  ['unary', unary],
  ['hello', hello],
  ['sample', sample],
  ['helloworld', helloworld],
  ['greet', { port: 50_051, run: greetGuide }],
]);
