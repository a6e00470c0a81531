"""The clients of the four guides that have one unary method; greet_clients.py tests the fifth guide."""

from guide_case import UNICODE, GuideCase, on_both_addresses
from harness import run_tests
from stubs import stubs

unary_pb2, unary_pb2_grpc = stubs("unary")
hello_pb2, hello_pb2_grpc = stubs("hello")
sample_pb2, sample_pb2_grpc = stubs("sample")
helloworld_pb2, helloworld_pb2_grpc = stubs("helloworld")


class Unary(GuideCase):
    stub_class = unary_pb2_grpc.UnaryStub

    def test_repeats_the_message(self):
        self.assert_reply("Hello Server you there?")

    def test_repeats_unicode(self):
        self.assert_reply(UNICODE)

    def test_takes_an_empty_message(self):
        self.assert_reply("")

    def assert_reply(self, text):
        request = unary_pb2.Message(message=text)
        reply = f'Hello I am up and running received "{text}" message from you'
        expected = unary_pb2.MessageResponse(message=reply, received=True)
        self.assert_replies(self.stub.GetServerResponse, request, expected)


class Hello(GuideCase):
    stub_class = hello_pb2_grpc.HelloStub

    def test_says_hello(self):
        self.assert_reply("World", "Hello World")

    def test_says_hello_in_unicode(self):
        self.assert_reply(UNICODE, f"Hello {UNICODE}")

    def test_takes_an_empty_message(self):
        self.assert_reply("", "Hello ")

    def assert_reply(self, value, reply):
        request = hello_pb2.HelloRequest(value=value)
        self.assert_replies(self.stub.Hello, request, hello_pb2.HelloResponse(value=reply))


class Sample(GuideCase):
    stub_class = sample_pb2_grpc.SampleServiceStub

    def test_replies(self):
        self.assert_reply("test message", "reply for test message")

    def test_replies_in_unicode(self):
        self.assert_reply(UNICODE, f"reply for {UNICODE}")

    def test_takes_an_empty_message(self):
        self.assert_reply("", "reply for ")

    def assert_reply(self, message, reply):
        request = sample_pb2.SampleRequest(message=message)
        self.assert_replies(self.stub.Call, request, sample_pb2.SampleResponse(reply=reply))


class Helloworld(GuideCase):
    stub_class = helloworld_pb2_grpc.GreeterStub

    def test_greets(self):
        self.assert_reply("you", "Hello, you!")

    def test_greets_in_unicode(self):
        self.assert_reply(UNICODE, f"Hello, {UNICODE}!")

    def test_takes_an_empty_message(self):
        self.assert_reply("", "Hello, !")

    def assert_reply(self, name, message):
        request = helloworld_pb2.HelloRequest(name=name)
        self.assert_replies(self.stub.SayHello, request, helloworld_pb2.HelloReply(message=message))


def load_tests(*_):
    return on_both_addresses(Unary, Hello, Sample, Helloworld)


if __name__ == "__main__":
    run_tests()
