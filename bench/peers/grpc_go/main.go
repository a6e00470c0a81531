// The echo service on grpc-go: Unary, and ServerStream, where the text is the number of replies. With the argument
// `chain`, it has interceptors like our middleware: a JSON log line for each call, metrics, recovery, and a
// deadline of an hour.
package main

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"time"

	prometheus "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/logging"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"google.golang.org/grpc"

	"bench/echo"
)

type service struct {
	echo.UnimplementedEchoServer
}

func (service) Unary(_ context.Context, request *echo.EchoRequest) (*echo.EchoReply, error) {
	return &echo.EchoReply{Text: request.GetText()}, nil
}

func (service) ServerStream(request *echo.EchoRequest, stream grpc.ServerStreamingServer[echo.EchoReply]) error {
	count, err := strconv.Atoi(request.GetText())
	if err != nil {
		return err
	}
	for range count {
		if err := stream.Send(&echo.EchoReply{Text: request.GetText()}); err != nil {
			return err
		}
	}
	return nil
}

func chain() grpc.ServerOption {
	metrics := prometheus.NewServerMetrics(prometheus.WithServerHandlingTimeHistogram())
	lines := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	logger := logging.LoggerFunc(func(ctx context.Context, level logging.Level, message string, fields ...any) {
		lines.Log(ctx, slog.Level(level), message, fields...)
	})
	return grpc.ChainUnaryInterceptor(
		metrics.UnaryServerInterceptor(),
		logging.UnaryServerInterceptor(logger, logging.WithLogOnEvents(logging.FinishCall)),
		recovery.UnaryServerInterceptor(),
		func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
			ctx, cancel := context.WithTimeout(ctx, time.Hour)
			defer cancel()
			return handler(ctx, request)
		},
	)
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("{\"port\":%d}\n", listener.Addr().(*net.TCPAddr).Port)
	var options []grpc.ServerOption
	if slices.Contains(os.Args, "chain") {
		options = append(options, chain())
	}
	server := grpc.NewServer(options...)
	echo.RegisterEchoServer(server, service{})
	log.Fatal(server.Serve(listener))
}
