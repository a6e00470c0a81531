// connect_go tests a server with connect-go: connect_go URL [CA_PEM]. Each call is made with Connect, gRPC-Web and
// gRPC, over HTTP/1.1 (not gRPC) and over HTTP/2, in protobuf compressed with gzip and in JSON. It prints
// a line for each test, and exits with 0 if all passed.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"slices"
	"time"

	"connectrpc.com/connect"
)

// The maximum duration of a call.
const bound = 20 * time.Second

// A variant is one way to make a call.
type variant struct {
	name string
	url  string
	http *recorder
	// Whether it uses HTTP/2 rather than HTTP/1.1.
	http2 bool
	// Whether it uses JSON rather than protobuf.
	json    bool
	options []connect.ClientOption
}

func main() {
	passed, failed := 0, 0
	for _, each := range variants(os.Args[1], trusted(os.Args[2:])) {
		for _, test := range tests {
			if test.only != nil && !test.only(each) {
				continue
			}
			if err := test.run(each); err != nil {
				failed++
				fmt.Printf("fail: %s: %s: %s\n", each.name, test.name, err)
			} else {
				passed++
				fmt.Printf("pass: %s: %s\n", each.name, test.name)
			}
		}
	}
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	if failed > 0 {
		os.Exit(1)
	}
}

func variants(url string, authorities *x509.CertPool) []variant {
	var all []variant
	protocols := []struct {
		name    string
		options []connect.ClientOption
	}{{"Connect", nil}, {"gRPC-Web", []connect.ClientOption{connect.WithGRPCWeb()}}, {"gRPC", []connect.ClientOption{connect.WithGRPC()}}}
	for _, http2 := range []bool{false, true} {
		for _, protocol := range protocols {
			if protocol.name == "gRPC" && !http2 {
				continue
			}
			over := "HTTP/1.1"
			if http2 {
				over = "HTTP/2.0"
			}
			name := protocol.name + " over " + over
			client := newRecorder(over, http2, authorities)
			binary := slices.Concat(protocol.options, []connect.ClientOption{connect.WithSendGzip()})
			json := slices.Concat(protocol.options, []connect.ClientOption{connect.WithProtoJSON()})
			all = append(all,
				variant{name, url, client, http2, false, binary},
				variant{name + " with JSON", url, client, http2, true, json})
		}
	}
	return all
}

// A recorder is an HTTP client. It keeps the method of the last request, and refuses other versions than its own.
type recorder struct {
	transport http.RoundTripper
	version   string
	method    string
}

func newRecorder(version string, http2 bool, authorities *x509.CertPool) *recorder {
	var protocols http.Protocols
	protocols.SetHTTP1(!http2)
	protocols.SetHTTP2(http2)
	protocols.SetUnencryptedHTTP2(http2)
	security := &tls.Config{RootCAs: authorities}
	return &recorder{&http.Transport{Protocols: &protocols, TLSClientConfig: security}, version, ""}
}

func (r *recorder) Do(request *http.Request) (*http.Response, error) {
	r.method = request.Method
	response, err := r.transport.RoundTrip(request)
	if err == nil && response.Proto != r.version {
		return nil, fmt.Errorf("the response came over %s instead of %s", response.Proto, r.version)
	}
	return response, err
}

// trusted returns the certificate authorities in the file that is named, or nil if none is named.
func trusted(files []string) *x509.CertPool {
	if len(files) == 0 {
		return nil
	}
	pem, err := os.ReadFile(files[0])
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return pool
}
