"""Many clients with one connection each: most are ordinary, some cancel calls, some read slowly.

The ordinary clients call until the cancelling clients have made all their calls. The slow clients send or request
more than the windows allow, read nothing until they are blocked, and finally read everything. Prints `ok COUNT` for
ordinary calls, `failed COUNT REASON` for all calls, and `cancelled COUNT`.

It runs in the virtual environment of gRPC's interop client, like load.py.
"""

import argparse
import itertools
import threading
import time
from collections import Counter

import grpc
from load import KINDS, asks, channel_to, outcome, report
from slow import Asker, Sender
from src.proto.grpc.testing import test_pb2_grpc

#: The cancelling clients, the calls of each, and the pause between them: 200 calls per second in total.
LEAVING = 10
CANCELS = 200
PAUSE_SECONDS = 0.05
SENDERS = 6
ASKERS = 2
#: The deadline of every call, in seconds.
DEADLINE = 20

#: Each channel has its own connection.
ALONE = [("grpc.use_local_subchannel_pool", 1)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", required=True)
    parser.add_argument("--clients", required=True, type=int)
    args = parser.parse_args()

    stubs = [test_pb2_grpc.TestServiceStub(channel_to(args.address, options=ALONE)) for _ in range(args.clients)]
    slow = [kind(stubs.pop()) for kind in (*[Sender] * SENDERS, *[Asker] * ASKERS)]
    for one in slow:
        one.wait_until_stuck()

    counts, cancelled = Counter(), Counter()
    left = [threading.Thread(target=leave, args=(stubs.pop(), cancelled)) for _ in range(LEAVING)]
    all_left = threading.Event()
    ordinary = [threading.Thread(target=call, args=(stub, number, all_left, counts)) for number, stub in enumerate(stubs)]
    for thread in (*left, *ordinary):
        thread.start()
    for thread in left:
        thread.join()
    all_left.set()
    for thread in ordinary:
        thread.join()

    for one in slow:
        one.read_all(counts)
    print("cancelled", cancelled["CANCELLED"])
    report(counts + Counter({why: count for why, count in cancelled.items() if why != "CANCELLED"}))


#: Counters are not thread-safe.
_lock = threading.Lock()


def call(stub, number, all_left, counts):
    """Makes calls of all kinds in turn."""
    kinds = itertools.islice(itertools.cycle(KINDS.values()), number % len(KINDS), None)
    while not all_left.is_set():
        why = outcome(next(kinds), stub)
        with _lock:
            counts[why] += 1


def leave(stub, cancelled):
    """Cancels bidirectional calls after their first reply, as when a user closes a page."""
    for _ in range(CANCELS):
        end = threading.Event()
        conversation = stub.FullDuplexCall(talk(end), timeout=DEADLINE)
        try:
            next(conversation)
            conversation.cancel()
            why = conversation.code().name
        except grpc.RpcError as error:
            why = f"{error.code().name}: {error.details()}"
        end.set()
        with _lock:
            cancelled[why] += 1
        time.sleep(PAUSE_SECONDS)


def talk(end):
    """Sends one request, and keeps the stream open until the event is set."""
    yield asks(1, 100)
    end.wait()


if __name__ == "__main__":
    main()
