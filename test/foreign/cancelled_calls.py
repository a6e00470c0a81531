"""Calls that clients cancel, or whose deadline expires: the server ends them at once.

This server's parrot pauses for an hour, so that its calls cannot end otherwise.
"""

import queue
import unittest
import uuid

import grpc
from harness import BOUND, arguments, channel_to, run_tests
from server import Server
from stubs import stubs

greet_pb2, greet_pb2_grpc = stubs("greet")
args = arguments(file="the built file")


class CancelledCalls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(args.file, "--parrot-interval", "1h")
        cls.addClassCleanup(cls.server.kill)
        cls.channel = channel_to(cls.server.address)
        cls.addClassCleanup(cls.channel.close)
        cls.stub = greet_pb2_grpc.GreeterStub(cls.channel)

    def test_a_deadline_ends_parrots(self):
        for method in (self.stub.ParrotSayHello, self.stub.ParrotSaysHello):
            call, logged = self.start(method, request("Keys"), timeout=1)
            next(call)
            with self.assertRaises(grpc.RpcError) as raised:
                next(call)
            self.assertEqual(raised.exception.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
            # The client's RST_STREAM may arrive before the deadline expires on the server.
            self.assertIn(logged()["rpc.status_code"], ("DEADLINE_EXCEEDED", "CANCELLED"))

    def test_a_cancel_ends_parrots(self):
        for method in (self.stub.ParrotSayHello, self.stub.ParrotSaysHello):
            self.assert_cancelled(method, request("Keys"))

    def test_a_cancel_ends_conversations(self):
        for method in (self.stub.InteractiveSayHello, self.stub.InteractingHello):
            requests = queue.SimpleQueue()
            requests.put(request("Keys"))
            self.assert_cancelled(method, iter(requests.get, None))
            requests.put(None)

    def test_a_server_stops_at_once_after_the_last_call_is_cancelled(self):
        server = Server(args.file, "--parrot-interval", "1h", "--drain-timeout", "1h")
        self.addCleanup(server.kill)
        with channel_to(server.address) as channel:
            call = greet_pb2_grpc.GreeterStub(channel).ParrotSayHello(
                request("Keys"), timeout=BOUND
            )
            next(call)
            server.terminate()
            call.cancel()
            self.assertEqual(server.exit_code(), 0)

    def assert_cancelled(self, method, sent):
        call, logged = self.start(method, sent, timeout=2 * BOUND)
        next(call)
        call.cancel()
        self.assertEqual(logged()["rpc.status_code"], "CANCELLED")

    def start(self, method, sent, timeout):
        """Starts a call. Returns it, and a function that waits for the server's log line about it."""
        name = str(uuid.uuid4())
        call = method(sent, timeout=timeout, metadata=[("x-request-id", name)])
        return call, lambda: self.server.wait_for(request_id=name)


def request(name):
    return greet_pb2.HelloRequest(greeting="Bello", name=name)


if __name__ == "__main__":
    run_tests()
