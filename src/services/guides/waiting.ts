import { connectivityState } from '@grpc/grpc-js';
import {
  type Channel,
  type Client,
  type ClientMiddleware,
  type CompatServiceDefinition,
  createClientFactory,
} from 'nice-grpc';
import type { Io } from '../../cli/command.ts';

/** Whoever waits in front of a terminal wants to know for what. */
const patienceMs = 2000;

/** Makes a client of the server that is dialled. */
export type Connect = <Service extends CompatServiceDefinition>(
  service: Service,
) => Client<Service>;

interface WaitingDeps extends Pick<Io, 'error'> {
  /** As the user has written it. */
  address: string;
}

/** Clients that say what a call waits for which has got nothing for two seconds: a connection, or a response. */
export function clientsOn(channel: Channel, deps: WaitingDeps): Connect {
  const clients = createClientFactory().use(tellWhatIsAwaited(channel, deps));
  return (service) => clients.create(service, channel);
}

function tellWhatIsAwaited(channel: Channel, { address, error }: WaitingDeps): ClientMiddleware {
  return async function* tell(call, options) {
    const timer = setTimeout(say, patienceMs).unref();
    try {
      if (!call.responseStream) return yield* call.next(call.request, options);
      for await (const response of call.next(call.request, options)) {
        clearTimeout(timer);
        yield response;
      }
      return undefined;
    } finally {
      clearTimeout(timer);
    }

    function say(): void {
      const isConnected = channel.getConnectivityState(false) === connectivityState.READY;
      if (!isConnected) error(`Waiting for a connection to ${address}`);
      // Where the client streams, the server waits for who types.
      else if (!call.requestStream) error(`Waiting for ${address} to answer ${call.method.path}`);
    }
  };
}
