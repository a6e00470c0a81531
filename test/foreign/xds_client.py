"""The xDS test client of grpc-java, at a plain address: what it counts of calls with `rpc-behavior`."""

import socket
import subprocess
import time
import unittest

import grpc
from harness import BOUND, arguments, foreign, run_tests
from stubs import stubs

messages, _ = stubs("messages", "grpc/testing")
args = arguments(addr="HOST:PORT of the server")

EMPTY, UNARY = messages.ClientConfigureRequest.EMPTY_CALL, messages.ClientConfigureRequest.UNARY_CALL
OK, UNKNOWN, DEADLINE_EXCEEDED, UNAVAILABLE = 0, 2, 4, 14

#: The metadata and the status of the calls of each method, and their timeout in seconds, as in gRPC's tests of
#: timeouts, circuit breakers and retries.
CASES = [
    ({UNARY: ("keep-open", DEADLINE_EXCEEDED), EMPTY: (None, OK)}, 1),
    ({UNARY: ("sleep-2", DEADLINE_EXCEEDED), EMPTY: ("sleep-2", DEADLINE_EXCEEDED)}, 1),
    ({UNARY: ("sleep-1", OK), EMPTY: ("error-code-2", UNKNOWN)}, 5),
    ({UNARY: ("error-code-14", UNAVAILABLE), EMPTY: ("hostname=another error-code-14", OK)}, 5),
    ({UNARY: ("succeed-on-retry-attempt-1,error-code-14", UNAVAILABLE), EMPTY: ("succeed-on-retry-attempt-0,error-code-14", OK)}, 5),
    ({UNARY: (None, OK), EMPTY: (None, OK)}, 5),
]
#: Calls of each method that a case waits for.
COUNT = 10


class XdsTestClient(unittest.TestCase):
    def setUp(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = [foreign / "bin/xds_java", f"--server={args.addr}", f"--stats_port={port}", "--qps=20"]
        client = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(client.wait)
        self.addCleanup(client.kill)
        channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self.addCleanup(channel.close)
        grpc.channel_ready_future(channel).result(BOUND)
        self.channel = channel

    def test_calls_end_as_they_ask(self):
        for asked, timeout in CASES:
            with self.subTest(asked=asked):
                self.configure({method: value for method, (value, _) in asked.items()}, timeout)
                wanted = {(method, status) for method, (_, status) in asked.items()}
                end = time.monotonic() + BOUND
                # Calls of the previous case end meanwhile.
                while (ended := self.ended_next(wanted, end)) != wanted:
                    self.assertLess(time.monotonic(), end, f"{ended}, not {wanted}")

    def ended_next(self, wanted, end):
        """Waits until calls have ended in each of these ways, or until this time, and returns all the ways."""
        before = self.results()
        while True:
            more = {key: count - before.get(key, 0) for key, count in self.results().items()}
            if all(more.get(key, 0) >= COUNT for key in wanted) or time.monotonic() > end:
                return {key for key, count in more.items() if count > 0}
            time.sleep(0.1)

    def configure(self, behaviors, timeout):
        metadata = [
            {"type": method, "key": "rpc-behavior", "value": value} for method, value in behaviors.items() if value
        ]
        self.call(
            "XdsUpdateClientConfigureService/Configure",
            messages.ClientConfigureRequest(types=list(behaviors), metadata=metadata, timeout_sec=timeout),
            messages.ClientConfigureResponse,
        )

    def results(self):
        """The number of calls that have ended, by method and status."""
        stats = self.call(
            "LoadBalancerStatsService/GetClientAccumulatedStats",
            messages.LoadBalancerAccumulatedStatsRequest(),
            messages.LoadBalancerAccumulatedStatsResponse,
        )
        types = messages.ClientConfigureRequest.RpcType
        return {
            (types.Value(name), status): count
            for name, method in stats.stats_per_method.items()
            for status, count in method.result.items()
        }

    def call(self, method, request, response):
        call = self.channel.unary_unary(
            f"/grpc.testing.{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=response.FromString,
        )
        return call(request, timeout=BOUND)


if __name__ == "__main__":
    run_tests()
