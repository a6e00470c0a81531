#!/usr/bin/env bash
# Installs the foreign clients into ${FOREIGN:-$HOME/.cache/greeter-foreign}, from PyPI and the Go
# module proxy; curl and nghttp come from Debian's packages. What is there in the pinned version is
# left as it is; a changed pin reinstalls.
set -euo pipefail

# renovate: go github.com/fullstorydev/grpcurl
GRPCURL=v1.9.4

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
foreign=${FOREIGN:-$HOME/.cache/greeter-foreign}

main() {
  need python3 go
  debian nghttp:nghttp2-client curl:curl
  mkdir -p "$foreign/bin" "$foreign/stamps"

  once venv "$(python3 --version; cat "$here/requirements.txt")" venv/bin/python python_venv &
  local python=$!
  # A failure below must not leave it running behind our back.
  trap wait EXIT
  once grpcurl "$GRPCURL" bin/grpcurl go_grpcurl
  once kubelet_probe "$(cat "$here"/kubelet_probe/{go.mod,go.sum,main.go})" bin/kubelet_probe go_kubelet_probe
  once h2spec "$(cat "$here"/h2spec/go.{mod,sum})" bin/h2spec go_h2spec
  once conformance "$(cat "$here"/conformance/go.{mod,sum})" bin/connectconformance go_conformance
  wait "$python"
}

need() {
  local program
  for program in "$@"; do
    command -v "$program" >/dev/null && continue
    echo "Cannot install the foreign clients: $program is missing" >&2
    exit 1
  done
}

# debian PROGRAM:PACKAGE...: installs those whose program is missing; root alone can.
debian() {
  local pair missing=()
  for pair in "$@"; do
    command -v "${pair%:*}" >/dev/null || missing+=("${pair#*:}")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "Cannot install the foreign clients: ${missing[*]} of Debian's packages is missing" >&2
    exit 1
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq update
  apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null
  echo "foreign: ${missing[*]} installed"
}

# once NAME PIN FILE COMMAND: runs COMMAND unless it once left FILE behind with this very PIN.
once() {
  local name=$1 pin=$2 file=$foreign/$3 stamp=$foreign/stamps/$1 start=$SECONDS
  if [ -x "$file" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$pin" ]; then
    echo "foreign: $name is there (0 s)"
    return
  fi
  rm -f "$stamp"
  "$4"
  # Only now: what was stopped halfway is begun again.
  printf '%s' "$pin" >"$stamp"
  echo "foreign: $name installed ($((SECONDS - start)) s)"
}

python_venv() {
  python3 -m venv --clear "$foreign/venv"
  "$foreign/venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
}

go_grpcurl() {
  quiet_go install "github.com/fullstorydev/grpcurl/cmd/grpcurl@$GRPCURL"
}

go_kubelet_probe() {
  (cd "$here/kubelet_probe" && quiet_go install .)
}

go_h2spec() {
  (cd "$here/h2spec" && quiet_go install github.com/summerwind/h2spec/cmd/h2spec)
}

go_conformance() {
  (cd "$here/conformance" && quiet_go install connectrpc.com/conformance/cmd/connectconformance)
}

# Without the user's own GOFLAGS, which could forbid the download or change what is built.
quiet_go() {
  GOFLAGS='-mod=readonly -buildvcs=false' GOBIN=$foreign/bin go "$@" 2> >(grep -v '^go: downloading' >&2)
}

main
