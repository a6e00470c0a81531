#!/usr/bin/env bash
# Installs gRPC's own interop clients into ${FOREIGN:-$HOME/.cache/greeter-foreign}: of Go from the
# module proxy, of Java from Maven, of C++, Python and Ruby from the source of Debian's package, as
# nobody publishes them. They are bin/interop_go, _java, _cpp, _python and _ruby.
set -euo pipefail

# Debian 12's. Its C++ and Ruby clients run on Debian's libraries, which must be of the same version.
GRPC_DEBIAN=1.51.1-3
# renovate: maven org.apache.maven.plugins:maven-dependency-plugin
MAVEN_DEPENDENCY=3.8.1

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../parts.sh"
tarball=$foreign/interop/source/grpc.tar.gz

main() {
  need python3 go
  "$debian" g++:g++ java:default-jre-headless mvn:maven ruby:ruby \
    libgrpc++-dev libprotobuf-dev protobuf-compiler protobuf-compiler-grpc libssl-dev ruby-grpc
  mkdir -p "$foreign/interop"
  once interop_source "$GRPC_DEBIAN" interop/source debian_source

  downloads &
  local downloads=$!
  # A failure below must not leave it running behind our back.
  trap wait EXIT
  once interop_cpp "$GRPC_DEBIAN $(cat "$here/build_cpp.sh")" bin/interop_cpp cpp_client
  wait "$downloads"
}

downloads() {
  once interop_venv "$(python3 --version; cat "$here/requirements.txt")" interop/venv/bin/python python_venv
  once interop_python "$GRPC_DEBIAN $(cat "$here/requirements.txt")" bin/interop_python python_client
  once interop_java "$(java --version 2>/dev/null) $(cat "$here/pom.xml") $MAVEN_DEPENDENCY $(declare -f java_client)" bin/interop_java java_client
  once interop_ruby "$GRPC_DEBIAN" bin/interop_ruby ruby_client
  once interop_go "$(cat "$here"/go.{mod,sum})" bin/interop_go go_client
}

# Its lists are kept apart: the machine's own need not name sources.
debian_source() {
  local lists=$foreign/interop/lists to=${tarball%/*} from
  rm -rf "$lists" "$to"
  mkdir -p "$lists/partial" "$to"
  for from in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do [ -e "$from" ] && break; done
  sed 's/^deb /deb-src /; s/^Types:.*/Types: deb-src/' "$from" >"$lists.${from##*.}"
  local apt=(apt-get -qq -o "Dir::Etc::sourcelist=$lists.${from##*.}" -o Dir::Etc::sourceparts=-
    -o "Dir::State::lists=$lists" -o APT::Sandbox::User=root)
  "${apt[@]}" update
  (cd "$to" && "${apt[@]}" source --download-only "grpc=$GRPC_DEBIAN")
  mv "$to"/grpc_*.orig.tar.gz "$tarball"
  rm -rf "$lists" "$lists.${from##*.}"
}

# unpack FOLDER PATTERN...: what of gRPC's source matches, from a new folder on.
unpack() {
  local to=$1
  shift
  rm -rf "$to"
  mkdir -p "$to"
  tar -xzf "$tarball" -C "$to" --strip-components=1 --wildcards "${@/#/grpc-*/}"
}

cpp_client() {
  local source=$foreign/interop/cpp
  unpack "$source" src include test third_party/upb
  "$here/build_cpp.sh" "$source" "$foreign/bin/interop_cpp"
  rm -rf "$source"
}

python_venv() {
  new_venv "$foreign/interop/venv" "$here/requirements.txt"
}

python_client() {
  local source=$foreign/interop/python python=$foreign/interop/venv/bin/python
  unpack "$source" src/python/grpcio_tests/tests/interop 'src/proto/grpc/testing/*.proto'
  local out=$source/src/python/grpcio_tests
  "$python" -m grpc_tools.protoc -I "$source" --python_out="$out" --grpc_python_out="$out" \
    "$source"/src/proto/grpc/testing/{empty,messages,test}.proto
  command_file interop_python "PYTHONPATH='$out' exec '$python' -m tests.interop.client"
}

# Each of its runs is short: what would make a long one fast makes it slow, and half of it were the loading of classes,
# if a first run, which finds no server, did not keep them in an archive.
java_client() {
  local jars=$foreign/interop/java archive=$foreign/interop/java.jsa
  rm -rf "$jars" "$archive"
  mvn -q -B -f "$here/pom.xml" "org.apache.maven.plugins:maven-dependency-plugin:$MAVEN_DEPENDENCY:copy-dependencies" \
    -DincludeScope=runtime -DoutputDirectory="$jars" 2>&1 | without_colours
  local java="java -XX:+UseSerialGC -XX:TieredStopAtLevel=1" client="-cp '$jars/*' io.grpc.testing.integration.TestServiceClient"
  sh -c "$java -XX:ArchiveClassesAtExit='$archive' $client --server_host=127.0.0.1 --server_port=1 --use_tls=false" >/dev/null 2>&1 || true
  [ -s "$archive" ]
  command_file interop_java "exec $java -XX:SharedArchiveFile='$archive' $client"
}

# Debian's package has the client too, but not the certificate of who signs the test's.
ruby_client() {
  local source=$foreign/interop/ruby
  unpack "$source" src/ruby etc/roots.pem
  command_file interop_ruby "exec ruby '$source/src/ruby/pb/test/client.rb'"
}

# Debian's Maven ends every run with two of them, whoever reads it.
without_colours() {
  sed $'s/\e\\[0m//g'
}

# With the certificate that all the clients know how to trust, for a server under test.
go_client() {
  local to=$foreign/interop/certificates
  quiet_go -C "$here" build -o "$foreign/bin/interop_go" google.golang.org/grpc/interop/client
  rm -rf "$to"
  mkdir "$to"
  cp "$(go -C "$here" list -m -f '{{.Dir}}' google.golang.org/grpc)"/testdata/{ca.pem,server1.pem,server1.key} "$to"
  chmod 600 "$to"/*
}

# command_file NAME COMMAND: a command of bin/ that runs another, with the arguments it gets.
command_file() {
  printf '#!/bin/sh\n%s "$@"\n' "$2" >"$foreign/bin/$1"
  chmod +x "$foreign/bin/$1"
}

main
