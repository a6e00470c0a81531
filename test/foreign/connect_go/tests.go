package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	health "google.golang.org/grpc/health/grpc_health_v1"
	test "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// The prefix of the paths of the interop test service.
const service = "/grpc.testing.TestService/"

const (
	initial  = "X-Grpc-Test-Echo-Initial"
	trailing = "X-Grpc-Test-Echo-Trailing-Bin"
)

var tests = []struct {
	name string
	// Selects the variants that can run the test. Without it, all can.
	only func(variant) bool
	run  func(variant) error
}{
	{"a unary call, with metadata in both directions", nil, unary},
	{"a server stream, with metadata in both directions", nil, serverStream},
	{"a client stream", nil, clientStream},
	{"a conversation", overHttp2, conversation},
	{"GET", inBinary, get},
	{"the status of a unary call", nil, unaryStatus},
	{"an unknown method", nil, unknownMethod},
	{"an error with details", nil, details},
	{"a deadline", nil, deadline},
	{"cancellation", nil, cancellation},
}

func overHttp2(by variant) bool { return by.http2 }

func inBinary(by variant) bool { return !by.json }

func unary(by variant) error {
	ctx, cancel := bounded()
	defer cancel()
	request := connect.NewRequest(&test.SimpleRequest{ResponseSize: 3})
	setMetadata(request.Header())
	response, err := dial[test.SimpleRequest, test.SimpleResponse](by, service+"UnaryCall").CallUnary(ctx, request)
	if err != nil {
		return err
	}
	if err := sameMetadata(response.Header(), response.Trailer()); err != nil {
		return err
	}
	return same(response.Msg.Payload.Body, []byte{0, 0, 0})
}

func serverStream(by variant) error {
	ctx, cancel := bounded()
	defer cancel()
	request := connect.NewRequest(download(1, 2, 3))
	setMetadata(request.Header())
	stream, err := dial[test.StreamingOutputCallRequest, test.StreamingOutputCallResponse](by, service+"StreamingOutputCall").
		CallServerStream(ctx, request)
	if err != nil {
		return err
	}
	defer stream.Close()
	var sizes []int
	for stream.Receive() {
		sizes = append(sizes, len(stream.Msg().Payload.Body))
	}
	if err := stream.Err(); err != nil {
		return err
	}
	if err := sameMetadata(stream.ResponseHeader(), stream.ResponseTrailer()); err != nil {
		return err
	}
	return same(sizes, []int{1, 2, 3})
}

func clientStream(by variant) error {
	ctx, cancel := bounded()
	defer cancel()
	stream := dial[test.StreamingInputCallRequest, test.StreamingInputCallResponse](by, service+"StreamingInputCall").CallClientStream(ctx)
	for _, size := range []int{1, 2, 3} {
		if err := stream.Send(&test.StreamingInputCallRequest{Payload: &test.Payload{Body: make([]byte, size)}}); err != nil {
			return err
		}
	}
	response, err := stream.CloseAndReceive()
	if err != nil {
		return err
	}
	return same(response.Msg.AggregatedPayloadSize, 6)
}

// conversation sends each request after the response to the previous one.
func conversation(by variant) error {
	ctx, cancel := bounded()
	defer cancel()
	stream := dial[test.StreamingOutputCallRequest, test.StreamingOutputCallResponse](by, service+"FullDuplexCall").CallBidiStream(ctx)
	defer stream.CloseResponse()
	for _, size := range []int{1, 2, 3} {
		if err := stream.Send(download(size)); err != nil {
			return err
		}
		response, err := stream.Receive()
		if err != nil {
			return err
		}
		if err := same(len(response.Payload.Body), size); err != nil {
			return err
		}
	}
	if err := stream.CloseRequest(); err != nil {
		return err
	}
	_, err := stream.Receive()
	if !errors.Is(err, io.EOF) {
		return fmt.Errorf("the end of the stream: %w", err)
	}
	return nil
}

// get calls a method without side effects. Connect uses GET for it, gRPC and gRPC-Web use POST.
func get(by variant) error {
	ctx, cancel := bounded()
	defer cancel()
	pure := connect.WithIdempotency(connect.IdempotencyNoSideEffects)
	// In binary, the messages of helloworld.Greeter are encoded like StringValue: one string, in field 1.
	client := dial[wrapperspb.StringValue, wrapperspb.StringValue](by, "/helloworld.Greeter/SayHello", connect.WithHTTPGet(), pure)
	response, err := client.CallUnary(ctx, connect.NewRequest(wrapperspb.String("you")))
	if err != nil {
		return err
	}
	method := http.MethodPost
	if strings.HasPrefix(by.name, "Connect") {
		method = http.MethodGet
	}
	if err := same(by.http.method, method); err != nil {
		return err
	}
	return same(response.Msg.Value, "Hello, you!")
}

func unaryStatus(by variant) error {
	ctx, cancel := bounded()
	defer cancel()
	status := &test.EchoStatus{Code: int32(connect.CodeAborted), Message: "refused: \t50 % ☺"}
	request := connect.NewRequest(&test.SimpleRequest{ResponseStatus: status})
	setMetadata(request.Header())
	_, err := dial[test.SimpleRequest, test.SimpleResponse](by, service+"UnaryCall").CallUnary(ctx, request)
	failure, err := failureOf(err, connect.CodeAborted)
	if err != nil {
		return err
	}
	if err := same(failure.Meta().Get(initial), "mine"); err != nil {
		return err
	}
	return same(failure.Message(), status.Message)
}

func unknownMethod(by variant) error {
	ctx, cancel := bounded()
	defer cancel()
	client := dial[test.Empty, test.Empty](by, service+"NoSuchCall")
	_, err := client.CallUnary(ctx, connect.NewRequest(&test.Empty{}))
	_, err = failureOf(err, connect.CodeUnimplemented)
	return err
}

func details(by variant) error {
	ctx, cancel := bounded()
	defer cancel()
	request := connect.NewRequest(&health.HealthCheckRequest{Service: strings.Repeat("x", 10_000)})
	stream, err := dial[health.HealthCheckRequest, health.HealthCheckResponse](by, "/grpc.health.v1.Health/Watch").
		CallServerStream(ctx, request)
	if err != nil {
		return err
	}
	defer stream.Close()
	if stream.Receive() {
		return fmt.Errorf("unexpected message %v", stream.Msg())
	}
	failure, err := failureOf(stream.Err(), connect.CodeInvalidArgument)
	if err != nil {
		return err
	}
	if err := same(len(failure.Details()), 1); err != nil {
		return err
	}
	message, err := failure.Details()[0].Value()
	if err != nil {
		return err
	}
	bad, isBad := message.(*errdetails.BadRequest)
	if !isBad || len(bad.FieldViolations) != 1 {
		return fmt.Errorf("unexpected detail %v", message)
	}
	return same(bad.FieldViolations[0].Field, "service")
}

func deadline(by variant) error {
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	return same(codeOfSlowStream(ctx, by, func() {}), connect.CodeDeadlineExceeded)
}

func cancellation(by variant) error {
	ctx, cancel := bounded()
	defer cancel()
	return same(codeOfSlowStream(ctx, by, cancel), connect.CodeCanceled)
}

// codeOfSlowStream opens a stream of two responses, the second after a minute, and acts after the first.
func codeOfSlowStream(ctx context.Context, by variant, act func()) connect.Code {
	request := download(1, 1)
	request.ResponseParameters[1].IntervalUs = 60_000_000
	stream, err := dial[test.StreamingOutputCallRequest, test.StreamingOutputCallResponse](by, service+"StreamingOutputCall").
		CallServerStream(ctx, connect.NewRequest(request))
	if err != nil {
		return connect.CodeOf(err)
	}
	defer stream.Close()
	for stream.Receive() {
		act()
	}
	return connect.CodeOf(stream.Err())
}

func dial[Req, Res any](by variant, path string, more ...connect.ClientOption) *connect.Client[Req, Res] {
	return connect.NewClient[Req, Res](by.http, by.url+path, slices.Concat(by.options, more)...)
}

func bounded() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), bound)
}

func download(sizes ...int) *test.StreamingOutputCallRequest {
	request := &test.StreamingOutputCallRequest{}
	for _, size := range sizes {
		request.ResponseParameters = append(request.ResponseParameters, &test.ResponseParameters{Size: int32(size)})
	}
	return request
}

func setMetadata(header http.Header) {
	header.Set(initial, "mine")
	header.Set(trailing, connect.EncodeBinaryHeader([]byte{0xab, 0xff}))
}

func sameMetadata(header, trailer http.Header) error {
	value, err := connect.DecodeBinaryHeader(trailer.Get(trailing))
	if err != nil {
		return err
	}
	return errors.Join(same(header.Get(initial), "mine"), same(value, []byte{0xab, 0xff}))
}

func failureOf(err error, code connect.Code) (*connect.Error, error) {
	var failure *connect.Error
	if !errors.As(err, &failure) {
		return nil, fmt.Errorf("expected %v, got %v", code, err)
	}
	return failure, same(failure.Code(), code)
}

func same(actual, expected any) error {
	if fmt.Sprintf("%#v", actual) != fmt.Sprintf("%#v", expected) {
		return fmt.Errorf("expected %#v, got %#v", expected, actual)
	}
	return nil
}
