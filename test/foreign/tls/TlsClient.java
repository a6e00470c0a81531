import io.grpc.Grpc;
import io.grpc.ManagedChannel;
import io.grpc.StatusRuntimeException;
import io.grpc.TlsChannelCredentials;
import io.grpc.testing.integration.EmptyProtos.Empty;
import io.grpc.testing.integration.TestServiceGrpc;
import java.io.BufferedReader;
import java.io.File;
import java.io.InputStreamReader;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** A TLS client on grpc-java and Netty; clients.py describes its input and output. */
final class TlsClient {
  public static void main(String[] args) throws Exception {
    Map<String, ManagedChannel> kept = new HashMap<>();
    var lines = new BufferedReader(new InputStreamReader(System.in));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      String[] words = line.split(" ");
      ManagedChannel channel = kept.get(words[0]);
      if (channel == null) channel = open(words);
      System.out.println(call(channel));
      if (words[0].equals("-")) channel.shutdownNow();
      else kept.put(words[0], channel);
    }
    System.exit(0);
  }

  private static ManagedChannel open(String[] words) throws Exception {
    var credentials = TlsChannelCredentials.newBuilder().trustManager(new File(words[2]));
    if (!words[3].equals("-")) credentials.keyManager(new File(words[3]), new File(words[4]));
    return Grpc.newChannelBuilder(words[1], credentials.build()).build();
  }

  private static String call(ManagedChannel channel) {
    try {
      TestServiceGrpc.newBlockingStub(channel).withDeadlineAfter(10, TimeUnit.SECONDS).emptyCall(Empty.getDefaultInstance());
      return "OK";
    } catch (StatusRuntimeException error) {
      String why = error.getStatus().getDescription();
      // Only the cause describes a connection error.
      for (Throwable cause = error.getCause(); cause != null; cause = cause.getCause()) why += ": " + cause.getMessage();
      return (error.getStatus().getCode() + ": " + why).replaceAll("\\s+", " ");
    }
  }
}
