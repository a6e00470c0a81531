import io.grpc.ClientInterceptors;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.TlsChannelCredentials;
import io.grpc.stub.MetadataUtils;
import io.grpc.testing.integration.Messages.SimpleRequest;
import io.grpc.testing.integration.Messages.ResponseParameters;
import io.grpc.testing.integration.Messages.StreamingOutputCallRequest;
import io.grpc.testing.integration.TestServiceGrpc;
import java.io.File;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;

/**
 * Tests injected faults with grpc-java: faults_java HOST:PORT [CA_PEM]. It prints a line for each test that fails and the
 * counts, and exits with 0 if all passed.
 */
final class FaultsClient {
  /** The maximum duration of a call. */
  private static final int BOUND_MS = 10_000;

  private static final Map<String, ?> RETRY = Map.of("retryPolicy", Map.of(
      "maxAttempts", 4.0, "initialBackoff", "0.01s", "maxBackoff", "0.1s", "backoffMultiplier", 2.0,
      "retryableStatusCodes", List.of("UNAVAILABLE")));
  private static final Map<String, ?> HEDGING = Map.of("hedgingPolicy", Map.of(
      "maxAttempts", 3.0, "hedgingDelay", "0.05s", "nonFatalStatusCodes", List.of("UNAVAILABLE")));

  private static int passed;
  private static int failed;

  public static void main(String[] args) throws Exception {
    ManagedChannel plain = open(args, null);
    ManagedChannel retrying = open(args, RETRY);
    ManagedChannel hedging = open(args, HEDGING);
    for (boolean isStream : new boolean[] {false, true}) {
      expect(plain, isStream, "status=ABORTED;message=half%20way", Status.Code.ABORTED);
      expect(plain, isStream, "hang", Status.Code.DEADLINE_EXCEEDED);
      expect(plain, isStream, "delay=1m", Status.Code.DEADLINE_EXCEEDED);
      expect(plain, isStream, "reset=CANCEL", Status.Code.CANCELLED);
      expect(plain, isStream, "reset=ENHANCE_YOUR_CALM", Status.Code.RESOURCE_EXHAUSTED);
      expect(plain, isStream, "refuse", Status.Code.UNAVAILABLE, Status.Code.OK);
      expect(plain, isStream, "drop", Status.Code.UNAVAILABLE);
      expect(plain, isStream, "http=503", Status.Code.UNAVAILABLE);
      expect(plain, isStream, "truncate", Status.Code.INTERNAL, Status.Code.UNKNOWN);
      expect(plain, isStream, "garbage", Status.Code.INTERNAL, Status.Code.CANCELLED);
      expect(plain, isStream, "no-status", Status.Code.INTERNAL, Status.Code.UNKNOWN);
      expect(plain, isStream, "corrupt-compression", Status.Code.INTERNAL, Status.Code.UNKNOWN);
      expect(plain, isStream, "big=5MiB", Status.Code.RESOURCE_EXHAUSTED);
      expect(retrying, isStream, "status=UNAVAILABLE;attempts=3", Status.Code.OK);
      expect(retrying, isStream, "status=UNAVAILABLE;attempts=4", Status.Code.UNAVAILABLE);
      expect(retrying, isStream, "status=UNAVAILABLE;attempts=1;pushback=20ms", Status.Code.OK);
      expect(retrying, isStream, "drop;attempts=1", Status.Code.OK);
      expect(hedging, isStream, "hang;attempts=1", Status.Code.OK);
      expect(hedging, isStream, "hang;attempts=2", Status.Code.OK);
      expect(hedging, isStream, "hang;attempts=3", Status.Code.DEADLINE_EXCEEDED);
    }
    System.out.println(passed + " passed, " + failed + " failed");
    System.exit(failed == 0 ? 0 : 1);
  }

  private static ManagedChannel open(String[] args, Map<String, ?> policy) throws Exception {
    var credentials = args.length > 1
        ? TlsChannelCredentials.newBuilder().trustManager(new File(args[1])).build()
        : InsecureChannelCredentials.create();
    var channel = Grpc.newChannelBuilder(args[0], credentials);
    if (policy == null) return channel.build();
    var method = new HashMap<String, Object>(policy);
    method.put("name", List.of(Map.of()));
    return channel.enableRetry().defaultServiceConfig(Map.of("methodConfig", List.of(method))).build();
  }

  private static void expect(ManagedChannel channel, boolean isStream, String fault, Status.Code... allowed) {
    Status.Code code = call(channel, isStream, fault, Set.of(allowed).contains(Status.Code.DEADLINE_EXCEEDED) ? 500 : BOUND_MS);
    if (Set.of(allowed).contains(code)) passed++;
    else {
      failed++;
      System.out.println("fail: " + fault + (isStream ? ", server stream: " : ", unary: ") + code);
    }
  }

  private static Status.Code call(ManagedChannel channel, boolean isStream, String fault, int deadlineMs) {
    var metadata = new Metadata();
    metadata.put(Metadata.Key.of("x-greeter-fault", Metadata.ASCII_STRING_MARSHALLER), fault);
    var asking = ClientInterceptors.intercept(channel, MetadataUtils.newAttachHeadersInterceptor(metadata));
    var stub = TestServiceGrpc.newBlockingStub(asking).withDeadlineAfter(deadlineMs, TimeUnit.MILLISECONDS);
    try {
      if (isStream) {
        var size = ResponseParameters.newBuilder().setSize(100);
        stub.streamingOutputCall(StreamingOutputCallRequest.newBuilder().addResponseParameters(size).build())
            .forEachRemaining(response -> {});
      } else stub.unaryCall(SimpleRequest.newBuilder().setResponseSize(100).build());
      return Status.Code.OK;
    } catch (StatusRuntimeException error) {
      return error.getStatus().getCode();
    }
  }
}
