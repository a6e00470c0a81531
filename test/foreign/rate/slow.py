"""Clients that do not read until they are told to, and a test that they do not block other calls.

As a program, it opens streams on one connection that send requests but read no responses, and makes a unary
call on that connection. Then it does the same with streams of responses that are not read.
"""

import argparse
import time
from collections import Counter

from load import asks, channel_to, outcome, report, unary
from src.proto.grpc.testing import test_pb2_grpc

#: The number of streams in each direction that are not read.
STREAMS = 6
#: The size of a message in bytes, and the number of messages. All windows and buffers hold about 75 of them.
SIZE = 64 * 1024
MESSAGES = 300
#: A stream is blocked after this time without progress, in seconds, and must be blocked within the second time.
STILL_SECONDS = 0.5
BOUND = 30
#: The deadline of a slow call, in seconds.
DEADLINE = 300


class Sender:
    """Sends requests that are echoed, and reads no response until read_all()."""

    def __init__(self, stub):
        self.sent = 0
        self._call = stub.FullDuplexCall(self._requests(), timeout=DEADLINE)

    def wait_until_stuck(self):
        """Waits until flow control blocks further requests."""
        end = time.monotonic() + BOUND
        before = -1
        while self.sent != before or self.sent == 0:
            if time.monotonic() > end:
                raise AssertionError(f"it can still send after {BOUND} s: {self.sent} messages")
            before = self.sent
            time.sleep(STILL_SECONDS)
        if self.sent == MESSAGES:
            raise AssertionError(f"nothing blocks it: it can send {MESSAGES} messages")

    def read_all(self, counts):
        counts[outcome(lambda _: read(self._call), None)] += 1

    def _requests(self):
        for _ in range(MESSAGES):
            self.sent += 1
            yield asks(1, SIZE)


class Asker:
    """Requests a stream of responses, and reads none until read_all()."""

    def __init__(self, stub):
        self._call = stub.StreamingOutputCall(asks(MESSAGES, SIZE), timeout=DEADLINE)

    def wait_until_stuck(self):
        """Waits for the response headers. The responses exceed the windows, so the stream is blocked."""
        self._call.initial_metadata()

    def read_all(self, counts):
        counts[outcome(lambda _: read(self._call), None)] += 1


def read(call):
    return [len(reply.payload.body) for reply in call] == [SIZE] * MESSAGES


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", required=True)
    parser.add_argument("--ca")
    parser.add_argument("--name")
    args = parser.parse_args()

    counts = Counter()
    with channel_to(args.address, args.ca, args.name) as channel:
        stub = test_pb2_grpc.TestServiceStub(channel)
        for kind in (Sender, Asker):
            slow = [kind(stub) for _ in range(STREAMS)]
            for one in slow:
                one.wait_until_stuck()
            counts[outcome(unary, stub)] += 1
            for one in slow:
                one.read_all(counts)
    report(counts)


if __name__ == "__main__":
    main()
