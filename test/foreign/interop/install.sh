#!/usr/bin/env bash
# Installs gRPC's own interop clients into ${FOREIGN:-$HOME/.cache/greeter-foreign}: Go from the module
# proxy, Java from Maven, and C++, Python and Ruby, which nobody publishes, from the source of Debian's
# package. They are bin/interop_go, _java, _cpp, _python and _ruby.
set -euo pipefail

# The version in Debian 12: the C++ and Ruby clients need Debian's libraries of the same version.
GRPC_DEBIAN=1.51.1-3
# renovate: maven org.apache.maven.plugins:maven-dependency-plugin
MAVEN_DEPENDENCY=3.8.1

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../parts.sh"
tarball=$foreign/interop/source/grpc.tar.gz

main() {
  need python3 go
  "$debian" g++:g++ javac:default-jdk-headless mvn:maven ruby:ruby \
    libgrpc++-dev libprotobuf-dev protobuf-compiler protobuf-compiler-grpc libssl-dev ruby-grpc
  mkdir -p "$foreign/interop"
  once interop_source "$GRPC_DEBIAN" interop/source debian_source

  downloads &
  local downloads=$!
  # If a command below fails, wait for the background job before exiting.
  trap wait EXIT
  once interop_cpp "$GRPC_DEBIAN $(cat "$here/build_cpp.sh")" bin/interop_cpp cpp_client
  wait "$downloads"
}

downloads() {
  once interop_venv "$(python3 --version; cat "$here/requirements.txt")" interop/venv/bin/python python_venv
  once interop_python "$GRPC_DEBIAN $(cat "$here/requirements.txt")" bin/interop_python python_client
  once interop_java "$(java --version 2>/dev/null) $(cat "$here/pom.xml") $MAVEN_DEPENDENCY $(declare -f java_client)" bin/interop_java java_client
  once repeat_java "$(cat "$here/repeat/Repeat.java" "$here/pom.xml")" bin/repeat_java repeat_java
  once xds_java "$(cat "$here/pom.xml")" bin/xds_java xds_java
  once faults_java "$(cat "$here/../faults_java/FaultsClient.java" "$here/pom.xml")" bin/faults_java faults_java
  once interop_ruby "$GRPC_DEBIAN" bin/interop_ruby ruby_client
  once interop_go "$(cat "$here"/go.{mod,sum})" bin/interop_go go_client
}

# Uses its own package lists, because those of the machine may not include sources.
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

# unpack FOLDER PATTERN...: extracts the matching files of gRPC's source into a new folder.
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

# Runs are short, so the optimizing compiler and a parallel collector would only slow them down. Loading classes would
# take half of each run, so a first run, without a server, writes them to an archive.
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

repeat_java() {
  java_program Repeat "$here/repeat/Repeat.java" "$foreign/interop/repeat" "$foreign/bin/repeat_java"
}

xds_java() {
  local java="java -XX:+UseSerialGC -XX:TieredStopAtLevel=1"
  command_file xds_java "exec $java -cp '$foreign/interop/java/*' io.grpc.testing.integration.XdsTestClient"
}

faults_java() {
  java_program FaultsClient "$here/../faults_java/FaultsClient.java" "$foreign/interop/faults" "$foreign/bin/faults_java"
}

# Debian's package contains the client, but not the root of the test certificate.
ruby_client() {
  local source=$foreign/interop/ruby
  unpack "$source" src/ruby etc/roots.pem
  command_file interop_ruby "exec ruby '$source/src/ruby/pb/test/client.rb'"
}

# Debian's Maven prints two colour resets after every run, even without a terminal.
without_colours() {
  sed $'s/\e\\[0m//g'
}

# Also copies the certificate for the server under test, which all clients can trust.
go_client() {
  local to=$foreign/interop/certificates
  quiet_go -C "$here" build -o "$foreign/bin/interop_go" google.golang.org/grpc/interop/client
  rm -rf "$to"
  mkdir "$to"
  cp "$(go -C "$here" list -m -f '{{.Dir}}' google.golang.org/grpc)"/testdata/{ca.pem,server1.pem,server1.key} "$to"
  chmod 600 "$to"/*
}

# command_file NAME COMMAND: writes a command in bin/ that runs COMMAND with its arguments.
command_file() {
  printf '#!/bin/sh\n%s "$@"\n' "$2" >"$foreign/bin/$1"
  chmod +x "$foreign/bin/$1"
}

main
