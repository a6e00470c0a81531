#!/usr/bin/env bash
# Installs our own TLS clients in Go, Java and C++ into ${FOREIGN:-$HOME/.cache/greeter-foreign}.
# Run ../interop/install.sh first: they use the same libraries as gRPC's interop clients.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../parts.sh"

main() {
  need go
  "$debian" g++:g++ javac:default-jdk-headless pkg-config:pkg-config
  once tls_cpp "$(cat "$here/client.cc"; dpkg-query --show libgrpc++-dev)" bin/tls_cpp cpp_client &
  local cpp=$!
  # If a command below fails, wait for the background job before exiting.
  trap wait EXIT
  once tls_java "$(cat "$here/TlsClient.java" "$here/../interop/pom.xml")" bin/tls_java java_client
  once tls_go "$(cat "$here/client.go" "$here"/../interop/go.{mod,sum})" bin/tls_go go_client
  wait "$cpp"
}

go_client() {
  quiet_go -C "$here/../interop" build -o "$foreign/bin/tls_go" "$here/client.go"
}

java_client() {
  java_program TlsClient "$here/TlsClient.java" "$foreign/tls/java" "$foreign/bin/tls_java"
}

cpp_client() {
  g++ -std=c++17 -o "$foreign/bin/tls_cpp" "$here/client.cc" $(pkg-config --libs grpc++)
}

main
