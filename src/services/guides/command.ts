import { isIPv6 } from 'node:net';
import type { Channel } from 'nice-grpc';
import { ClientError, Status } from 'nice-grpc-common';
import { UsageError } from '../../config.ts';
import { dial } from '../../transport/client.ts';
import { connectFailure } from '../../transport/connect_failure.ts';
import { messageOf } from '../../message_of.ts';
import type { Command, Io } from '../../cli/command.ts';
import { readFlags } from '../../cli/flags.ts';
import { guides } from './clients.ts';
import { clientsOn } from './waiting.ts';

const names = [...guides.keys()].join(', ');

/** Exits 0, 1 if the call fails, or 2 if the arguments are invalid. */
export const guide: Command = {
  summary: 'Run the client of a gRPC guide',
  details: `NAME is one of ${names}. The clients do not use TLS.`,
  operands: 'NAME',
  flags: [
    {
      name: 'addr',
      value: 'HOST[:PORT]',
      help: 'the server (default: this machine; port 9999 for sample, 50051 for the others)',
    },
    {
      name: 'message',
      value: 'TEXT',
      isText: true,
      help: 'text to send instead of that of the guide; not for greet',
    },
  ],
  examples: [
    ['guide hello', 'Send "World", as the hello guide does'],
    ['guide unary --message "Anybody there?"', 'Send another text'],
    ['guide greet', 'Choose one of the four kinds of call'],
  ],
  async run(args, io) {
    const read = readFlags(args);
    const [name] = args.operands;
    const found = guides.get(name ?? '');
    const address = withPort(read.text('addr') ?? 'localhost', found?.port);
    const message = read.text('message');
    if (name === undefined) read.problems.push(`NAME: is missing; must be one of ${names}`);
    else if (!found) read.problems.push(`"${name}": must be one of ${names}`);
    if (!found || read.problems.length > 0) throw new UsageError('run this guide', read.problems);

    const channel = open(address, io.env);
    try {
      return await found.run(clientsOn(channel, { ...io, address }), io, message);
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      const why = connectFailure(error.details, {}) ?? error.details;
      io.error(`Cannot call ${address}: ${error.path} ${Status[error.code]}: ${why}`);
      return 1;
    } finally {
      channel.close();
    }
  },
};

/** Adds the port of the guide's own client if the address has none. */
function withPort(address: string, port: number | undefined): string {
  if (isIPv6(address)) return `[${address}]:${port}`;
  return /^(?:[\w.-]+|\[[^\]]*\])$/.test(address) ? `${address}:${port}` : address;
}

function open(address: string, env: Io['env']): Channel {
  try {
    return dial({ address, env });
  } catch (error) {
    throw new UsageError('run this guide', [`--addr "${address}": ${messageOf(error)}`]);
  }
}
