#!/usr/bin/env bash
# Installs the foreign clients into ${FOREIGN:-$HOME/.cache/greeter-foreign}: packages from PyPI and the Go
# module proxy, our own Rust client with tonic from crates.io, and curl, nghttp and Chromium from Debian. gRPC's interop
# clients are installed by interop/install.sh, load generators and proxies by rate/install.sh, and TLS clients by
# tls/install.sh. A client that is installed in its pinned version is kept; a changed pin reinstalls it.
# test/foreign/install.sh kubelet_probe installs that client only.
set -euo pipefail

# renovate: go github.com/fullstorydev/grpcurl
GRPCURL=v1.9.4
# renovate: go github.com/grpc-ecosystem/grpc-health-probe
HEALTH_PROBE=v0.4.62

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
project=$(cd "$here/../.." && pwd)
source "$here/parts.sh"

main() {
  # Only one of several concurrent runs installs.
  exec 8>"$foreign/lock"
  flock 8
  if [ $# -gt 0 ]; then
    for part in "$@"; do "$part"; done
    return
  fi
  need python3 go cargo
  find_rust
  "$debian" nghttp:nghttp2-client curl:curl chromium:chromium

  once venv "$(python3 --version; cat "$here/requirements.txt")" venv/bin/python python_venv &
  local python=$!
  # If a command below fails, wait for the background job before exiting.
  trap wait EXIT
  once grpcurl "$GRPCURL" bin/grpcurl go_grpcurl
  kubelet_probe
  once health_probe "$HEALTH_PROBE" bin/grpc-health-probe go_health_probe
  once h2spec "$(cat "$here"/h2spec/go.{mod,sum})" bin/h2spec go_h2spec
  once x_net "$(cat "$here"/x_net/{go.mod,go.sum,main.go})" bin/x_net go_x_net
  once faults_go "$(cat "$here"/faults_go/{go.mod,go.sum,main.go})" bin/faults_go go_faults
  once connect_go "$(cat "$here"/connect_go/{go.{mod,sum},*.go})" bin/connect_go go_connect
  once conformance "$(cat "$here"/conformance/go.{mod,sum})" bin/connectconformance go_conformance
  once tonic_client "$(cargo --version; cat "$here"/tonic/{Cargo.*,build.rs,src/*} "$project"/proto/{greet,grpc/testing/*}.proto)" \
    bin/tonic_client cargo_tonic
  wait "$python"
  once own_client_go "$(cat "$project/docs/own_client.md" "$here/own_client.py")" bin/own_client_go go_own_client
  "$here/interop/install.sh"
  "$here/rate/install.sh"
  "$here/tls/install.sh"
}

# rustup expects its toolchains in HOME, but they may be elsewhere.
find_rust() {
  local home
  home=$(realpath "$(dirname "$(command -v cargo)")/../../.rustup")
  if [ -z "${RUSTUP_HOME-}" ] && [ -d "$home" ]; then export RUSTUP_HOME=$home; fi
}

python_venv() {
  new_venv "$foreign/venv" "$here/requirements.txt"
}

go_grpcurl() {
  quiet_go install "github.com/fullstorydev/grpcurl/cmd/grpcurl@$GRPCURL"
}

# image/check needs only this client.
kubelet_probe() {
  need go
  once kubelet_probe "$(cat "$here"/kubelet_probe/{go.mod,go.sum,main.go})" bin/kubelet_probe go_kubelet_probe
}

go_kubelet_probe() {
  (cd "$here/kubelet_probe" && quiet_go install .)
}

go_health_probe() {
  quiet_go install "github.com/grpc-ecosystem/grpc-health-probe@$HEALTH_PROBE"
}

go_h2spec() {
  (cd "$here/h2spec" && quiet_go install github.com/summerwind/h2spec/cmd/h2spec)
}

# The tag selects x/net's own code instead of Go's standard library (since 1.27).
go_faults() {
  (cd "$here/faults_go" && quiet_go install .)
}

go_x_net() {
  (cd "$here/x_net" && quiet_go install -tags http2legacy .)
}

# Follows docs/own_client.md, with the virtual environment's protoc.
go_own_client() {
  GOFLAGS=-buildvcs=false "$foreign/venv/bin/python" "$here/own_client.py" --build-go "$foreign/bin/own_client_go"
}

go_connect() {
  (cd "$here/connect_go" && quiet_go install .)
}

go_conformance() {
  (cd "$here/conformance" && quiet_go install connectrpc.com/conformance/cmd/connectconformance)
}

# The target folder is kept, because dependencies change less often than the client.
cargo_tonic() {
  local to=$foreign/tonic
  mkdir -p "$to"
  (cd "$project" && node_modules/.bin/buf build --exclude-source-info --path proto/greet.proto --path proto/grpc/testing -o "$to/contracts.binpb")
  CONTRACTS=$to/contracts.binpb CARGO_TARGET_DIR=$to/target cargo build --quiet --locked --manifest-path "$here/tonic/Cargo.toml"
  cp "$to/target/debug/tonic_client" "$foreign/bin"
}

main "$@"
