// A TLS client on grpc-go; clients.py describes its input and output.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

func main() {
	kept := map[string]*grpc.ClientConn{}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		words := strings.Fields(lines.Text())
		name := words[0]
		channel := kept[name]
		if channel == nil {
			channel = open(words[1], words[2:])
			if name != "-" {
				kept[name] = channel
			}
		}
		fmt.Println(call(channel))
		if name == "-" {
			channel.Close()
		}
	}
}

func open(address string, files []string) *grpc.ClientConn {
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(must(os.ReadFile(files[0])))
	config := &tls.Config{RootCAs: trusted}
	if files[1] != "-" {
		config.Certificates = []tls.Certificate{must(tls.LoadX509KeyPair(files[1], files[2]))}
	}
	return must(grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(credentials.NewTLS(config))))
}

func call(channel *grpc.ClientConn) string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := channel.Invoke(ctx, "/grpc.testing.TestService/EmptyCall", &emptypb.Empty{}, &emptypb.Empty{})
	if err == nil {
		return "OK"
	}
	code := strings.ToUpper(status.Code(err).String())
	return strings.Join(strings.Fields(code+": "+status.Convert(err).Message()), " ")
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
