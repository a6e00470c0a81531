"""Reflection v1alpha, which grpcurl uses only if the server has no v1."""

import unittest

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from harness import BOUND, arguments, channel_to, run_tests
from services import SERVICES
from stubs import stubs

# Generated relative to the proto's folder: a package grpc/reflection would hide the package grpc.
pb2, pb2_grpc = stubs("reflection", "grpc/reflection/v1alpha")
args = arguments(addr="HOST:PORT of the server")


class ReflectionV1alpha(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        channel = channel_to(args.addr)
        cls.addClassCleanup(channel.close)
        cls.stub = pb2_grpc.ServerReflectionStub(channel)

    def test_lists_every_service_and_no_other(self):
        (answer,) = self.ask({"list_services": "*"})
        names = [service.name for service in answer.list_services_response.service]
        self.assertEqual(sorted(names), sorted(SERVICES))

    def test_finds_the_file_of_every_service(self):
        answers = self.ask(*({"file_containing_symbol": name} for name in SERVICES))
        for name, answer in zip(SERVICES, answers, strict=True):
            self.assertIn(name, services_in(first_file(answer)))

    def test_finds_a_file_by_the_name_of_a_method(self):
        (answer,) = self.ask({"file_containing_symbol": "greet.Greeter.ParrotSayHello"})
        self.assertEqual(first_file(answer).name, "greet.proto")

    def test_finds_a_file_by_the_name_of_an_enum_value_beside_its_enum(self):
        (answer,) = self.ask({"file_containing_symbol": "grpc.health.v1.HealthCheckResponse.SERVING"})
        self.assertEqual(first_file(answer).name, "grpc/health/v1/health.proto")

    def test_finds_a_file_by_its_name(self):
        (answer,) = self.ask({"file_by_filename": "helloworld.proto"})
        file = first_file(answer)
        self.assertEqual((file.name, file.package), ("helloworld.proto", "helloworld"))
        self.assertEqual(file.options.java_package, "io.grpc.examples")

    def test_says_what_it_cannot_find_and_goes_on(self):
        symbol = {"file_containing_symbol": "greet.Missing"}
        file = {"file_by_filename": "missing.proto"}
        *errors, last = self.ask(symbol, file, {"file_by_filename": "hello.proto"})
        not_found = grpc.StatusCode.NOT_FOUND.value[0]
        self.assertEqual([each.error_response.error_code for each in errors], [not_found] * 2)
        self.assertEqual(first_file(last).name, "hello.proto")

    def ask(self, *questions):
        """Returns the responses to these requests on one stream. Each response repeats its request."""
        requests = [pb2.ServerReflectionRequest(host="here", **each) for each in questions]
        answers = list(self.stub.ServerReflectionInfo(iter(requests), timeout=BOUND))
        self.assertEqual([each.original_request for each in answers], requests)
        return answers


def first_file(answer):
    return FileDescriptorProto.FromString(answer.file_descriptor_response.file_descriptor_proto[0])


def services_in(file):
    return [f"{file.package}.{service.name}".lstrip(".") for service in file.service]


if __name__ == "__main__":
    run_tests()
