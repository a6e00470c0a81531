import { connectivityState } from '@grpc/grpc-js';
import {
  type Channel,
  type Client,
  type ClientMiddleware,
  type CompatServiceDefinition,
  createClientFactory,
} from 'nice-grpc';
import type { Io } from '../../cli/command.ts';

/** Milliseconds before the user is told what the client waits for. */
const noticeAfterMs = 2000;

/** Creates a client of the dialled server. */
export type Connect = <Service extends CompatServiceDefinition>(
  service: Service,
) => Client<Service>;

interface WaitingDeps extends Pick<Io, 'error'> {
  /** The address as the user wrote it. */
  address: string;
}

/**
 * Creates clients that report what a call waits for, a connection or a response, after two seconds without either.
 */
export function clientsOn(channel: Channel, deps: WaitingDeps): Connect {
  const clients = createClientFactory().use(tellWhatIsAwaited(channel, deps));
  return (service) => clients.create(service, channel);
}

function tellWhatIsAwaited(channel: Channel, { address, error }: WaitingDeps): ClientMiddleware {
  return async function* tell(call, options) {
    const timer = setTimeout(say, noticeAfterMs).unref();
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
      // If the client streams, the server waits for the user's input.
      else if (!call.requestStream) error(`Waiting for ${address} to answer ${call.method.path}`);
    }
  };
}
