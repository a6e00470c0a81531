import io.grpc.ChannelCredentials;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.StatusRuntimeException;
import io.grpc.TlsChannelCredentials;
import io.grpc.stub.StreamObserver;
import io.grpc.testing.integration.Messages.Payload;
import io.grpc.testing.integration.Messages.ResponseParameters;
import io.grpc.testing.integration.Messages.SimpleRequest;
import io.grpc.testing.integration.Messages.StreamingInputCallRequest;
import io.grpc.testing.integration.Messages.StreamingInputCallResponse;
import io.grpc.testing.integration.Messages.StreamingOutputCallRequest;
import io.grpc.testing.integration.Messages.StreamingOutputCallResponse;
import io.grpc.testing.integration.TestServiceGrpc;
import com.google.protobuf.ByteString;
import java.io.File;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * A load generator on grpc-java and Netty: calls of one kind, from four threads, on one connection.
 * Usage: Load ADDRESS KIND CALLS [CA NAME]. Prints `ok COUNT`, and `failed COUNT REASON` for each reason.
 */
final class Load {
  private static final int THREADS = 4;
  private static final int MESSAGES = 3;
  private static final int SIZE = 100;
  private static final int DEADLINE_SECONDS = 20;
  private static final Payload PAYLOAD =
      Payload.newBuilder().setBody(ByteString.copyFrom(new byte[SIZE])).build();
  private static final ResponseParameters WANTED = ResponseParameters.newBuilder().setSize(SIZE).build();

  private interface Call {
    /** True if the reply is the expected one. */
    boolean isRight() throws Exception;
  }

  private final ManagedChannel channel;

  private Load(ManagedChannel channel) {
    this.channel = channel;
  }

  public static void main(String[] args) throws Exception {
    ManagedChannel channel = channelTo(args);
    Call call = new Load(channel).ofKind(args[1]);
    AtomicInteger left = new AtomicInteger(Integer.parseInt(args[2]));
    AtomicInteger ok = new AtomicInteger();
    Map<String, Integer> failed = new ConcurrentHashMap<>();
    List<Thread> threads = new ArrayList<>();
    for (int number = 0; number < THREADS; number++) {
      Thread thread = new Thread(() -> {
        while (left.getAndDecrement() > 0) {
          String why = outcome(call);
          if (why == null) ok.incrementAndGet();
          else failed.merge(why, 1, Integer::sum);
        }
      });
      threads.add(thread);
      thread.start();
    }
    for (Thread thread : threads) thread.join();
    channel.shutdown().awaitTermination(DEADLINE_SECONDS, TimeUnit.SECONDS);

    System.out.println("ok " + ok);
    failed.forEach((why, count) -> System.out.println("failed " + count + " " + why));
  }

  private static ManagedChannel channelTo(String[] args) throws Exception {
    boolean tls = args.length > 3;
    ChannelCredentials credentials = tls
        ? TlsChannelCredentials.newBuilder().trustManager(new File(args[3])).build()
        : InsecureChannelCredentials.create();
    var builder = Grpc.newChannelBuilder(args[0], credentials);
    return (tls ? builder.overrideAuthority(args[4]) : builder).build();
  }

  private static String outcome(Call call) {
    try {
      return call.isRight() ? null : "another reply";
    } catch (CompletionException error) {
      return words(error.getCause());
    } catch (Exception error) {
      return words(error);
    }
  }

  private static String words(Throwable error) {
    String text = error instanceof StatusRuntimeException
        ? ((StatusRuntimeException) error).getStatus().getCode() + ": " + ((StatusRuntimeException) error).getStatus().getDescription()
        : error.toString();
    return text.replaceAll("\\s+", " ");
  }

  private Call ofKind(String kind) {
    switch (kind) {
      case "unary": return this::unary;
      case "server_stream": return this::serverStream;
      case "client_stream": return this::clientStream;
      case "bidi": return this::bidi;
      default: throw new IllegalArgumentException("Cannot call: there is no kind \"" + kind + "\"");
    }
  }

  private boolean unary() {
    var request = SimpleRequest.newBuilder().setResponseSize(SIZE).setPayload(PAYLOAD).build();
    var stub = TestServiceGrpc.newBlockingStub(channel).withDeadlineAfter(DEADLINE_SECONDS, TimeUnit.SECONDS);
    return stub.unaryCall(request).getPayload().getBody().size() == SIZE;
  }

  private boolean serverStream() {
    var request = StreamingOutputCallRequest.newBuilder();
    for (int number = 0; number < MESSAGES; number++) request.addResponseParameters(WANTED);
    var stub = TestServiceGrpc.newBlockingStub(channel).withDeadlineAfter(DEADLINE_SECONDS, TimeUnit.SECONDS);
    int received = 0;
    for (var replies = stub.streamingOutputCall(request.build()); replies.hasNext(); received++) {
      if (replies.next().getPayload().getBody().size() != SIZE) return false;
    }
    return received == MESSAGES;
  }

  private boolean clientStream() {
    var replies = new Replies<StreamingInputCallResponse>();
    var requests = asyncStub().streamingInputCall(replies);
    for (int number = 0; number < MESSAGES; number++) {
      requests.onNext(StreamingInputCallRequest.newBuilder().setPayload(PAYLOAD).build());
    }
    requests.onCompleted();
    var all = replies.all.join();
    return all.size() == 1 && all.get(0).getAggregatedPayloadSize() == SIZE * MESSAGES;
  }

  private boolean bidi() {
    var replies = new Replies<StreamingOutputCallResponse>();
    var requests = asyncStub().fullDuplexCall(replies);
    for (int number = 0; number < MESSAGES; number++) {
      requests.onNext(StreamingOutputCallRequest.newBuilder().setPayload(PAYLOAD).addResponseParameters(WANTED).build());
    }
    requests.onCompleted();
    var all = replies.all.join();
    return all.size() == MESSAGES && all.stream().allMatch(reply -> reply.getPayload().getBody().size() == SIZE);
  }

  private TestServiceGrpc.TestServiceStub asyncStub() {
    return TestServiceGrpc.newStub(channel).withDeadlineAfter(DEADLINE_SECONDS, TimeUnit.SECONDS);
  }

  private static final class Replies<T> implements StreamObserver<T> {
    final CompletableFuture<List<T>> all = new CompletableFuture<>();
    private final List<T> received = new ArrayList<>();

    @Override public void onNext(T reply) {
      received.add(reply);
    }

    @Override public void onError(Throwable error) {
      all.completeExceptionally(error);
    }

    @Override public void onCompleted() {
      all.complete(received);
    }
  }
}
