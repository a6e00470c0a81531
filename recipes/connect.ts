import { type Channel, ChannelCredentials, createChannel } from 'nice-grpc';

/**
 * The service config of docs/kubernetes.md, with two additions. Every call has a deadline, is retried if it ends with
 * UNAVAILABLE, and goes to the next of the server's addresses. See https://grpc.io/docs/guides/service-config/.
 */
const serviceConfig = {
  loadBalancingConfig: [{ round_robin: {} }],
  methodConfig: [
    {
      // All methods. A method that must not run twice gets an entry of its own, without a retryPolicy, and a method
      // that streams for longer one without a timeout.
      name: [{}],
      timeout: '5s',
      retryPolicy: {
        maxAttempts: 5,
        initialBackoff: '0.05s',
        maxBackoff: '1s',
        backoffMultiplier: 2,
        retryableStatusCodes: ['UNAVAILABLE'],
      },
    },
  ],
  // Retries stop while more than half of the calls fail: they would only add to an overload.
  retryThrottling: { maxTokens: 10, tokenRatio: 0.1 },
};

/**
 * Opens a channel to every address that a name has, `dns:///greeter-headless.greeter.svc.cluster.local:50051` for
 * example. Close it with close().
 */
export function connect(
  target: string,
  credentials = ChannelCredentials.createInsecure(),
): Channel {
  return createChannel(target, credentials, {
    'grpc.service_config': JSON.stringify(serviceConfig),
    // Detects a server that has vanished. Greeter answers PINGs up to --max-control-frames-per-second; grpc-go's server
    // ends a connection that sends more than one in five minutes, unless its enforcement policy allows more.
    'grpc.keepalive_time_ms': 30_000,
    'grpc.keepalive_timeout_ms': 10_000,
  });
}
