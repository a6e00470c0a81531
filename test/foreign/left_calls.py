"""Calls that their client leaves: the server lets go of them at once, long before their end.

The parrot of this server waits an hour, so a call of it ends early or not at all.
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


class LeftCalls(unittest.TestCase):
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
            # The client's end may reach the server before its own clock does.
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

    def test_a_server_that_everybody_left_stops_at_once(self):
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
        """Makes a call, and a way to wait for the server's own word on how it ended."""
        name = str(uuid.uuid4())
        call = method(sent, timeout=timeout, metadata=[("x-request-id", name)])
        return call, lambda: self.server.wait_for(request_id=name)


def request(name):
    return greet_pb2.HelloRequest(greeting="Bello", name=name)


if __name__ == "__main__":
    run_tests()
