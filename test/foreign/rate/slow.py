"""Clients that read nothing before they are asked to, and a test of what that does to their neighbours.

Run alone it has some on one connection that send and do not read, then a unary call there; and the same
with some that are sent to.
"""

import argparse
import time
from collections import Counter

from load import asks, channel_to, outcome, report, unary
from src.proto.grpc.testing import test_pb2_grpc

#: More than what a stream's window and the connection's let pass, together.
STREAMS = 6
#: Bytes of a message, and how many there are: more than all windows and buffers on the way take.
SIZE = 64 * 1024
MESSAGES = 1000
#: Seconds without any progress after which a stream is stuck, and within which it must be.
STILL_SECONDS = 0.5
BOUND = 30
#: Seconds that a slow call may take in all.
DEADLINE = 300


class Sender:
    """Sends requests that are echoed, and reads no reply until it is told to."""

    def __init__(self, stub):
        self.sent = 0
        self._call = stub.FullDuplexCall(self._requests(), timeout=DEADLINE)

    def wait_until_stuck(self):
        """Until nothing more can be sent, as nothing is read."""
        end = time.monotonic() + BOUND
        before = -1
        while self.sent != before or self.sent == 0:
            if time.monotonic() > end:
                raise AssertionError(f"it can still send after {BOUND} s: {self.sent} messages")
            before = self.sent
            time.sleep(STILL_SECONDS)

    def read_all(self, counts):
        counts[outcome(lambda _: read(self._call), None)] += 1

    def _requests(self):
        for _ in range(MESSAGES):
            self.sent += 1
            yield asks(1, SIZE)


class Asker:
    """Asks for responses, and reads none until it is told to."""

    def __init__(self, stub):
        self._call = stub.StreamingOutputCall(asks(MESSAGES, SIZE), timeout=DEADLINE)

    def wait_until_stuck(self):
        """It is from the beginning; this is until the server has begun."""
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
