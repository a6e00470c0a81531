#!/usr/bin/env bash
# Installs the foreign clients into ${FOREIGN:-$HOME/.cache/greeter-foreign}, from PyPI and the Go
# module proxy, and a client of ours in Rust with crates.io's tonic; curl and nghttp come from
# Debian's packages, gRPC's interop clients from interop/install.sh, what calls at rate from
# rate/install.sh, what calls over TLS alone from tls/install.sh. What is there in the pinned version
# is left as it is; a changed pin reinstalls. test/foreign/install.sh kubelet_probe installs that alone.
set -euo pipefail

# renovate: go github.com/fullstorydev/grpcurl
GRPCURL=v1.9.4
# renovate: go github.com/grpc-ecosystem/grpc-health-probe
HEALTH_PROBE=v0.4.62

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
project=$(cd "$here/../.." && pwd)
source "$here/parts.sh"

main() {
  # Runs side by side have one that installs.
  exec 8>"$foreign/lock"
  flock 8
  if [ $# -gt 0 ]; then
    for part in "$@"; do "$part"; done
    return
  fi
  need python3 go cargo
  find_rust
  "$debian" nghttp:nghttp2-client curl:curl

  once venv "$(python3 --version; cat "$here/requirements.txt")" venv/bin/python python_venv &
  local python=$!
  # A failure below must not leave it running behind our back.
  trap wait EXIT
  once grpcurl "$GRPCURL" bin/grpcurl go_grpcurl
  kubelet_probe
  once health_probe "$HEALTH_PROBE" bin/grpc-health-probe go_health_probe
  once h2spec "$(cat "$here"/h2spec/go.{mod,sum})" bin/h2spec go_h2spec
  once x_net "$(cat "$here"/x_net/{go.mod,go.sum,main.go})" bin/x_net go_x_net
  once conformance "$(cat "$here"/conformance/go.{mod,sum})" bin/connectconformance go_conformance
  once tonic_client "$(cargo --version; cat "$here"/tonic/{Cargo.*,build.rs,src/*} "$project"/proto/{greet,grpc/testing/*}.proto)" \
    bin/tonic_client cargo_tonic
  wait "$python"
  once own_client_go "$(cat "$project/docs/own_client.md" "$here/own_client.py")" bin/own_client_go go_own_client
  "$here/interop/install.sh"
  "$here/rate/install.sh"
  "$here/tls/install.sh"
}

# rustup looks for what it has installed in HOME, where it need not be.
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

# What image/check needs of it.
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

# With its own code, whichever Go's standard library has (since 1.27).
go_x_net() {
  (cd "$here/x_net" && quiet_go install -tags http2legacy .)
}

# As docs/own_client.md has it, by the compiler of the virtual environment.
go_own_client() {
  GOFLAGS=-buildvcs=false "$foreign/venv/bin/python" "$here/own_client.py" --build-go "$foreign/bin/own_client_go"
}

go_conformance() {
  (cd "$here/conformance" && quiet_go install connectrpc.com/conformance/cmd/connectconformance)
}

# Its target folder stays: what it depends on changes less often than itself.
cargo_tonic() {
  local to=$foreign/tonic
  mkdir -p "$to"
  (cd "$project" && node_modules/.bin/buf build --exclude-source-info --path proto/greet.proto --path proto/grpc/testing -o "$to/contracts.binpb")
  CONTRACTS=$to/contracts.binpb CARGO_TARGET_DIR=$to/target cargo build --quiet --locked --manifest-path "$here/tonic/Cargo.toml"
  cp "$to/target/debug/tonic_client" "$foreign/bin"
}

main "$@"
