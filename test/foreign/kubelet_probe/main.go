// kubelet_probe probes a server once, with the code that the kubelet runs for a container's `grpc:`
// probe. It exits with 0 on Success, 1 on Failure and 2 otherwise.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"time"

	"k8s.io/kubernetes/pkg/probe"
	"k8s.io/kubernetes/pkg/probe/grpc"
)

var exitCodes = map[probe.Result]int{probe.Success: 0, probe.Failure: 1}

func main() {
	// As in a manifest: a host, a port, and a service; without one, the whole server is probed.
	host := flag.String("host", "127.0.0.1", "where the server is")
	port := flag.Int("port", 0, "its port; required")
	service := flag.String("service", "", "whose health to ask for")
	timeout := flag.Duration("timeout", time.Second, "timeoutSeconds of the probe")
	flag.Parse()
	log.SetFlags(0)

	if *port == 0 || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	result, output, err := grpc.New().Probe(*host, *service, *port, *timeout)
	if err != nil {
		log.Print(err)
	}
	fmt.Println(result, output)
	code, known := exitCodes[result]
	if !known {
		code = 2
	}
	os.Exit(code)
}
