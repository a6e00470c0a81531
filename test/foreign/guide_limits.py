"""The ends of the greet guide's streams: by limits, by deadlines, and by cancellation."""

import time

import grpc
from guide_case import GuideCase, on_both_addresses
from harness import BOUND, run_tests
from stubs import stubs

greet_pb2, greet_pb2_grpc = stubs("greet")

MAX_MESSAGES = 10_000
MAX_BYTES = 1024 * 1024
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


class Greet(GuideCase):
    stub_class = greet_pb2_grpc.GreeterStub

    def test_chatty_clients_may_send_10000_messages(self):
        requests = [request(str(i)) for i in range(MAX_MESSAGES)]
        for method in self.chatty():
            self.assertEqual(list(method(iter(requests), timeout=BOUND).request), requests)

    def test_chatty_clients_may_not_send_10001_messages(self):
        requests = [request(str(i)) for i in range(MAX_MESSAGES + 1)]
        for method in self.chatty():
            self.assert_code(EXHAUSTED, method, iter(requests))

    def test_chatty_clients_may_send_1_mib(self):
        for method in self.chatty():
            full = sized(MAX_BYTES)
            self.assertEqual(list(method(iter([full]), timeout=BOUND).request), [full])

    def test_chatty_clients_may_not_send_more_than_1_mib(self):
        for method in self.chatty():
            self.assert_code(EXHAUSTED, method, iter([sized(MAX_BYTES + 1)]))
            self.assert_code(EXHAUSTED, method, iter([sized(MAX_BYTES // 2)] * 3))

    def test_a_deadline_ends_the_parrot(self):
        for method in self.parrots():
            call = method(request("Keys"), timeout=0.15)
            replies = self.assert_ends(call, grpc.StatusCode.DEADLINE_EXCEEDED)
            self.assertLess(replies, 3)

    def test_a_cancel_ends_the_parrot(self):
        for method in self.parrots():
            call = method(request("Keys"), timeout=BOUND)
            next(call)
            call.cancel()
            self.assert_ends(call, grpc.StatusCode.CANCELLED)

    def test_a_method_that_is_not_there_is_named(self):
        path = "/greet.Greeter/Missing"
        error = self.assert_code(grpc.StatusCode.UNIMPLEMENTED, self.channel.unary_unary(path), b"")
        self.assertIn(path.strip("/"), error.details())

    def chatty(self):
        return self.stub.ChattyClientSayHello, self.stub.ChattyClientSaysHello

    def parrots(self):
        return self.stub.ParrotSayHello, self.stub.ParrotSaysHello

    def assert_code(self, code, method, sent):
        with self.assertRaises(grpc.RpcError) as raised:
            method(sent, timeout=BOUND)
        self.assertEqual(raised.exception.code(), code, raised.exception)
        return raised.exception

    def assert_ends(self, call, code):
        """Asserts that a call ends with the code, without delay. Returns the number of replies before that."""
        start = time.monotonic()
        replies = 0
        with self.assertRaises(grpc.RpcError) as raised:
            for _ in call:
                replies += 1
        self.assertEqual(raised.exception.code(), code)
        self.assertLess(time.monotonic() - start, 2)
        return replies


def request(name):
    return greet_pb2.HelloRequest(greeting="Bello", name=name)


def sized(size):
    """Returns a request of `size` encoded bytes."""
    whole = greet_pb2.HelloRequest(name="x" * size)
    head = whole.ByteSize() - size
    message = greet_pb2.HelloRequest(name="x" * (size - head))
    assert message.ByteSize() == size, message.ByteSize()
    return message


def load_tests(*_):
    return on_both_addresses(Greet)


if __name__ == "__main__":
    run_tests()
