// x_net serves plaintext HTTP/2 with golang.org/x/net/http2 only, for test/differential. It answers like the
// servers in test/differential/servers.ts. It prints its port, and exits when its standard input is closed.
package main

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"

	"golang.org/x/net/http2"
)

func main() {
	log.SetOutput(io.Discard)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go serve(listener)
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	io.Copy(io.Discard, os.Stdin)
}

func serve(listener net.Listener) {
	server := &http2.Server{
		MaxConcurrentStreams:         10,
		MaxReadFrameSize:             16384,
		MaxUploadBufferPerConnection: 65535,
		MaxUploadBufferPerStream:     65535,
	}
	options := &http2.ServeConnOpts{
		Handler: http.HandlerFunc(answer),
		// x/net adds the overhead of ten fields, and announces 16,384.
		BaseConfig: &http.Server{MaxHeaderBytes: 16384 - 320},
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go server.ServeConn(conn, options)
	}
}

func answer(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/hold":
		<-r.Context().Done()
		return
	case "/early":
		return
	}
	length, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if asked, err := strconv.Atoi(r.URL.Path[min(1, len(r.URL.Path)):]); err == nil {
		w.Write(bytes.Repeat([]byte("x"), asked))
		return
	}
	fmt.Fprint(w, length)
}
