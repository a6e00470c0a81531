#!/usr/bin/env bash
# Builds gRPC's C++ interop client from gRPC's source and Debian's libraries: build_cpp.sh SOURCE OUT
set -euo pipefail

cd "$1"
out=$2
mkdir made objects

protoc -I. --cpp_out=made --grpc_out=made --plugin="protoc-gen-grpc=$(command -v grpc_cpp_plugin)" \
  src/proto/grpc/testing/{empty,messages,test}.proto

# The client and the test helpers that it calls. They are compiled as one unit, because parsing the shared headers takes
# nearly all of the time ...
files=(
  test/cpp/interop/{client,client_helper,interop_client}.cc
  test/cpp/util/{create_test_channel,test_config_cc,test_credentials_provider}.cc
  test/core/util/{build,histogram,stack_tracer,test_config}.cc
  test/core/event_engine/test_init.cc
  test/core/security/oauth2_utils.cc
  test/core/end2end/data/*.cc
)
printf '#include "%s"\n' "${files[@]}" >made/all.cc
# ... except for these, which define the same names.
files=(made/all.cc made/src/proto/grpc/testing/{empty.pb,messages.pb,test.pb,test.grpc.pb}.cc)
compile() {
  g++ -std=c++17 -O0 -w -I. -Imade -Iinclude -Ithird_party/upb \
    -Isrc/core/ext/upb-generated -Isrc/core/ext/upbdefs-generated -c "$1" -o "objects/${1//\//_}.o"
}
export -f compile
printf '%s\n' "${files[@]}" | xargs -P "$(nproc)" -I{} bash -c 'compile {}'

# All libraries of abseil; the linker selects those that are needed.
absl=()
for library in /usr/lib/*-linux-gnu/libabsl_*.so; do
  name=${library##*/lib}
  absl+=("-l${name%.so}")
done
g++ -o "$out" objects/*.o -Wl,--as-needed -Wl,--start-group "${absl[@]}" \
  -lgrpc++ -lgrpc -lgpr -laddress_sorting -lprotobuf -lupb -lssl -lcrypto -lpthread -Wl,--end-group
