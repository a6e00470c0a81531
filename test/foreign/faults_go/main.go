// faults_go tests injected faults with grpc-go: faults_go HOST:PORT [CA_PEM]. It prints a line for each test that
// fails and the counts, and exits with 0 if all passed.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// The maximum duration of a call.
const bound = 10 * time.Second

// Retries UNAVAILABLE up to three times.
const retries = `{"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 4, "initialBackoff": "0.01s",
	"maxBackoff": "0.1s", "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]}}]}`

// The statuses that calls may end with, by the fault that they ask for.
var expected = []struct {
	fault string
	codes []codes.Code
}{
	{"status=ABORTED", []codes.Code{codes.Aborted}},
	{"hang", []codes.Code{codes.DeadlineExceeded}},
	{"delay=1m", []codes.Code{codes.DeadlineExceeded}},
	{"reset=CANCEL", []codes.Code{codes.Canceled}},
	{"reset=ENHANCE_YOUR_CALM", []codes.Code{codes.ResourceExhausted}},
	{"refuse", []codes.Code{codes.Unavailable}},
	{"drop", []codes.Code{codes.Unavailable}},
	{"http=503", []codes.Code{codes.Unavailable}},
	{"truncate", []codes.Code{codes.Internal, codes.Unknown}},
	{"garbage", []codes.Code{codes.Internal}},
	{"no-status", []codes.Code{codes.Internal, codes.Unknown}},
	{"corrupt-compression", []codes.Code{codes.Internal}},
	{"big=5MiB", []codes.Code{codes.ResourceExhausted}},
}

// A kind makes a call, and returns the number of its responses.
type kind struct {
	name string
	call func(context.Context, testpb.TestServiceClient) (int, error)
}

var kinds = []kind{{"unary", unary}, {"server stream", serverStream}, {"client stream", clientStream}, {"bidi", bidi}}

func main() {
	passed, failed := 0, 0
	check := func(name string, err error) {
		if err == nil {
			passed++
			return
		}
		failed++
		fmt.Printf("fail: %s: %s\n", name, err)
	}
	plain, withRetries := dial(""), dial(retries)
	for _, each := range expected {
		for _, kind := range kinds {
			check(each.fault+", "+kind.name, endsWith(plain, kind, each.fault, each.codes))
		}
	}
	for _, fault := range []string{"status=UNAVAILABLE;attempts=3", "status=UNAVAILABLE;attempts=1;pushback=20ms", "drop;attempts=1"} {
		check(fault, endsWith(withRetries, kinds[0], fault, []codes.Code{codes.OK}))
	}
	check("all attempts fail", endsWith(withRetries, kinds[0], "status=UNAVAILABLE;attempts=4", []codes.Code{codes.Unavailable}))
	check("rpc-behavior", succeedsOnAttempt(withRetries))
	check("no retry without a policy", endsWith(plain, kinds[0], "status=UNAVAILABLE;attempts=1", []codes.Code{codes.Unavailable}))
	check("refused streams are retried", isRetriedTransparently(dial("")))
	check("half a stream", endsAfterTwo(plain))
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	if failed > 0 {
		os.Exit(1)
	}
}

func dial(config string) testpb.TestServiceClient {
	transport := insecure.NewCredentials()
	if len(os.Args) > 2 {
		var err error
		if transport, err = credentials.NewClientTLSFromFile(os.Args[2], ""); err != nil {
			panic(err)
		}
	}
	options := []grpc.DialOption{grpc.WithTransportCredentials(transport)}
	if config != "" {
		options = append(options, grpc.WithDefaultServiceConfig(config))
	}
	conn, err := grpc.NewClient(os.Args[1], options...)
	if err != nil {
		panic(err)
	}
	return testpb.NewTestServiceClient(conn)
}

func asking(fault string, timeout time.Duration) (context.Context, context.CancelFunc) {
	ctx := metadata.AppendToOutgoingContext(context.Background(), "x-greeter-fault", fault)
	return context.WithTimeout(ctx, timeout)
}

func endsWith(client testpb.TestServiceClient, kind kind, fault string, allowed []codes.Code) error {
	timeout := bound
	if slices.Contains(allowed, codes.DeadlineExceeded) {
		timeout = 300 * time.Millisecond
	}
	ctx, cancel := asking(fault, timeout)
	defer cancel()
	_, err := kind.call(ctx, client)
	if code := status.Code(err); !slices.Contains(allowed, code) {
		return fmt.Errorf("%s, not %v: %v", code, allowed, err)
	}
	return nil
}

func succeedsOnAttempt(client testpb.TestServiceClient) error {
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "rpc-behavior", "succeed-on-retry-attempt-2,error-code-14")
	_, err := unary(ctx, client)
	return err
}

// grpc-go retries a refused stream once, without a policy; the second of these calls is refused.
func isRetriedTransparently(client testpb.TestServiceClient) error {
	for range 2 {
		ctx, cancel := asking("refuse;nth=2", bound)
		_, err := unary(ctx, client)
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}

func endsAfterTwo(client testpb.TestServiceClient) error {
	for _, fault := range []string{"status=UNAVAILABLE;after=2", "reset=CANCEL;after=2", "no-status;after=2", "truncate;after=2"} {
		ctx, cancel := asking(fault, bound)
		count, err := serverStream(ctx, client)
		cancel()
		if err == nil || count != 2 {
			return fmt.Errorf("%s: %d responses and %v", fault, count, err)
		}
	}
	return nil
}

func unary(ctx context.Context, client testpb.TestServiceClient) (int, error) {
	_, err := client.UnaryCall(ctx, &testpb.SimpleRequest{ResponseSize: 100})
	return 1, err
}

func clientStream(ctx context.Context, client testpb.TestServiceClient) (int, error) {
	stream, err := client.StreamingInputCall(ctx)
	if err != nil {
		return 0, err
	}
	// The call may have ended already; its status follows.
	_ = stream.Send(&testpb.StreamingInputCallRequest{Payload: &testpb.Payload{Body: make([]byte, 100)}})
	_, err = stream.CloseAndRecv()
	return 1, err
}

func request() *testpb.StreamingOutputCallRequest {
	size := &testpb.ResponseParameters{Size: 100}
	return &testpb.StreamingOutputCallRequest{ResponseParameters: []*testpb.ResponseParameters{size, size, size}}
}

func serverStream(ctx context.Context, client testpb.TestServiceClient) (int, error) {
	stream, err := client.StreamingOutputCall(ctx, request())
	if err != nil {
		return 0, err
	}
	return receiveAll(stream)
}

func bidi(ctx context.Context, client testpb.TestServiceClient) (int, error) {
	stream, err := client.FullDuplexCall(ctx)
	if err != nil {
		return 0, err
	}
	_ = stream.Send(request())
	_ = stream.CloseSend()
	return receiveAll(stream)
}

func receiveAll(stream interface {
	Recv() (*testpb.StreamingOutputCallResponse, error)
}) (int, error) {
	for count := 0; ; count++ {
		if _, err := stream.Recv(); errors.Is(err, io.EOF) {
			return count, nil
		} else if err != nil {
			return count, err
		}
	}
}
