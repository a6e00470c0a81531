// A TLS client on gRPC C++; clients.py describes its input and output.
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <sstream>
#include <string>

static std::string text_of(const std::string& path) {
  if (path == "-") return "";
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

static std::shared_ptr<grpc::Channel> open(const std::string& address, const std::string& ca,
                                           const std::string& cert, const std::string& key) {
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = text_of(ca);
  options.pem_cert_chain = text_of(cert);
  options.pem_private_key = text_of(key);
  grpc::ChannelArguments arguments;
  // Otherwise, channels with the same arguments share a connection.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(address, grpc::SslCredentials(options), arguments);
}

static grpc::Status call(const std::shared_ptr<grpc::Channel>& channel) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
  grpc::CompletionQueue queue;
  grpc::Slice empty;
  grpc::ByteBuffer request(&empty, 1), response;
  grpc::Status status;
  auto unary = stub.PrepareUnaryCall(&context, "/grpc.testing.TestService/EmptyCall", request, &queue);
  unary->StartCall();
  unary->Finish(&response, &status, &queue);
  void* tag;
  bool ok;
  queue.Next(&tag, &ok);
  return status;
}

int main() {
  // The names that the other clients print.
  const std::map<int, std::string> names = {{4, "DEADLINE_EXCEEDED"}, {14, "UNAVAILABLE"}};
  std::map<std::string, std::shared_ptr<grpc::Channel>> kept;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string name, address, ca, cert, key;
    words >> name >> address >> ca >> cert >> key;
    auto channel = kept[name];
    if (!channel) channel = open(address, ca, cert, key);
    if (name != "-") kept[name] = channel;
    auto status = call(channel);
    if (status.ok()) {
      std::cout << "OK" << std::endl;
      continue;
    }
    auto known = names.find(status.error_code());
    auto code = known == names.end() ? std::to_string(status.error_code()) : known->second;
    std::cout << code << ": " << status.error_message() << std::endl;
  }
}
