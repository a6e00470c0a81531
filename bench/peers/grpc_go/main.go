// grpc-go, bare: the greet service's SayHello, and ParrotSayHello with as many replies as the name says.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"strconv"

	"google.golang.org/grpc"

	"bench/greet"
)

type greeter struct {
	greet.UnimplementedGreeterServer
}

func (greeter) SayHello(_ context.Context, request *greet.HelloRequest) (*greet.HelloReply, error) {
	return &greet.HelloReply{Message: request.GetGreeting() + " " + request.GetName() + "!"}, nil
}

func (greeter) ParrotSayHello(request *greet.HelloRequest, stream grpc.ServerStreamingServer[greet.HelloReply]) error {
	count, err := strconv.Atoi(request.GetName())
	if err != nil {
		return err
	}
	for range count {
		if err := stream.Send(&greet.HelloReply{Message: request.GetGreeting()}); err != nil {
			return err
		}
	}
	return nil
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("{\"port\":%d}\n", listener.Addr().(*net.TCPAddr).Port)
	server := grpc.NewServer()
	greet.RegisterGreeterServer(server, greeter{})
	log.Fatal(server.Serve(listener))
}
