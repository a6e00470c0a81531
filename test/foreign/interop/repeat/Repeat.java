import io.grpc.testing.integration.TestServiceClient;
import java.io.BufferedReader;
import java.io.InputStreamReader;

/** Runs gRPC's interop client once for each line of standard input: see repeated.py. */
final class Repeat {
  public static void main(String[] args) throws Exception {
    var lines = new BufferedReader(new InputStreamReader(System.in));
    for (String line; (line = lines.readLine()) != null; ) {
      int code = 0;
      try {
        TestServiceClient.main(line.split("\t"));
      } catch (Throwable error) {
        error.printStackTrace();
        code = 1;
      }
      System.out.println("ended " + code);
    }
  }
}
