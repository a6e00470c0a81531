"""grpcio as a client at rate: so many calls of a kind, from four threads, on one connection.

Run by gRPC's interop venv, whose stubs it takes. Says `ok COUNT`, and `failed COUNT WHY` for each why.
"""

import argparse
import sys
import threading
from collections import Counter
from pathlib import Path

import grpc
from src.proto.grpc.testing import messages_pb2, test_pb2_grpc

THREADS = 4
#: Messages of a stream, and bytes of each.
MESSAGES = 3
SIZE = 100
#: Seconds that a call may take.
DEADLINE = 20


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", required=True)
    parser.add_argument("--kind", required=True, choices=KINDS)
    parser.add_argument("--calls", required=True, type=int)
    parser.add_argument("--ca", help="who has signed the server's certificate; TLS with it")
    parser.add_argument("--name", help="a name the certificate is for")
    args = parser.parse_args()

    with channel_to(args.address, args.ca, args.name) as channel:
        counts = run(KINDS[args.kind], test_pb2_grpc.TestServiceStub(channel), args.calls)
    report(counts)


def channel_to(address, ca=None, name=None, options=()):
    """A channel, over TLS where a file says who has signed the server's certificate."""
    if ca is None:
        return grpc.insecure_channel(address, options)
    credentials = grpc.ssl_channel_credentials(Path(ca).read_bytes())
    return grpc.secure_channel(address, credentials, [*options, ("grpc.ssl_target_name_override", name)])


def report(counts):
    """Says what calls have come to: None stands for those that are well."""
    print("ok", counts.pop(None, 0))
    for why, count in counts.items():
        print("failed", count, why)
    sys.stdout.flush()


def outcome(call, stub):
    """None for a call that ends well with what it is to bring, else why not."""
    try:
        right = call(stub)
    except grpc.RpcError as error:
        return " ".join(f"{error.code().name}: {error.details()}".split())
    return None if right else "another reply"


def run(call, stub, calls):
    shares = [calls // THREADS + (number < calls % THREADS) for number in range(THREADS)]
    counts = [Counter() for _ in shares]

    def worker(share, count):
        for _ in range(share):
            count[outcome(call, stub)] += 1

    threads = [threading.Thread(target=worker, args=pair) for pair in zip(shares, counts, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts, Counter())


def unary(stub):
    request = messages_pb2.SimpleRequest(response_size=SIZE, payload=payload(SIZE))
    return len(stub.UnaryCall(request, timeout=DEADLINE).payload.body) == SIZE


def server_stream(stub):
    replies = stub.StreamingOutputCall(asks(MESSAGES, SIZE), timeout=DEADLINE)
    return [len(reply.payload.body) for reply in replies] == [SIZE] * MESSAGES


def client_stream(stub):
    request = messages_pb2.StreamingInputCallRequest(payload=payload(SIZE))
    reply = stub.StreamingInputCall(iter([request] * MESSAGES), timeout=DEADLINE)
    return reply.aggregated_payload_size == SIZE * MESSAGES


def bidi(stub):
    replies = stub.FullDuplexCall(iter([asks(1, SIZE)] * MESSAGES), timeout=DEADLINE)
    return [len(reply.payload.body) for reply in replies] == [SIZE] * MESSAGES


KINDS = {call.__name__: call for call in (unary, server_stream, client_stream, bidi)}


def payload(size):
    return messages_pb2.Payload(body=bytes(size))


def asks(count, size):
    """A request for so many responses of a size, with a payload of that size itself."""
    return messages_pb2.StreamingOutputCallRequest(
        payload=payload(size), response_parameters=[messages_pb2.ResponseParameters(size=size)] * count
    )


if __name__ == "__main__":
    main()
