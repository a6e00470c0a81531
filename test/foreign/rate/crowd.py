"""Many clients with a connection each: most of them ordinary, some that leave calls, some that are slow.

The ordinary ones go on calling until the others have left all the calls they are to leave. The slow
ones send, or ask for, more than any window takes, and read nothing before that; then they read all
of it. Says `ok COUNT` of the ordinary calls, `failed COUNT WHY` of any, `cancelled COUNT`.

Run by gRPC's interop venv, as load.py is.
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

#: Clients that leave calls, how many each, and how long it waits before the next: 200 a second in all.
LEAVING = 10
CANCELS = 200
PAUSE_SECONDS = 0.05
SENDERS = 6
ASKERS = 2
#: Seconds that an ordinary call may take, and one that is left.
DEADLINE = 20

#: So that a channel has a connection of its own.
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


#: Counters are no good alone where threads share them.
_lock = threading.Lock()


def call(stub, number, all_left, counts):
    """Calls of all kinds in turn."""
    kinds = itertools.islice(itertools.cycle(KINDS.values()), number % len(KINDS), None)
    while not all_left.is_set():
        why = outcome(next(kinds), stub)
        with _lock:
            counts[why] += 1


def leave(stub, cancelled):
    """Leaves conversations after their first reply, as whoever closes a page does."""
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
    """One request, and no end of the stream before that."""
    yield asks(1, 100)
    end.wait()


if __name__ == "__main__":
    main()
