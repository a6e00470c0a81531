#!/usr/bin/env bash
# Builds the grpc-go peer into $1: its code is generated from test/echo/proto, with the plugins that
# go.mod pins.
set -euo pipefail
out=$(realpath -m "$1")
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
project=$(cd "$here/../../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$here"/{main.go,go.mod,go.sum} "$work/"
cd "$work"
export GOFLAGS=-mod=mod GOBIN=$work/bin
go install google.golang.org/protobuf/cmd/protoc-gen-go google.golang.org/grpc/cmd/protoc-gen-go-grpc
PATH=$work/bin:$project/node_modules/.bin:$PATH buf generate "$project/test/echo/proto" --template '{
  "version": "v2",
  "plugins": [
    {"local": "protoc-gen-go", "out": ".", "opt": ["module=bench", "Mecho.proto=bench/echo"]},
    {"local": "protoc-gen-go-grpc", "out": ".", "opt": ["module=bench", "Mecho.proto=bench/echo"]}
  ]
}'
mkdir -p "$(dirname "$out")"
go build -o "$out" .
