"""A load generator on grpcio: calls of one kind, from four threads, on one connection.

It runs in the virtual environment of gRPC's interop client, and uses its stubs. Prints `ok COUNT`, and
`failed COUNT REASON` for each reason.
"""

import argparse
import sys
import threading
from collections import Counter
from pathlib import Path

import grpc
from src.proto.grpc.testing import messages_pb2, test_pb2_grpc

THREADS = 4
#: The number of messages in a stream, and the size of each in bytes.
MESSAGES = 3
SIZE = 100
#: The deadline of a call in seconds.
DEADLINE = 20


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", required=True)
    parser.add_argument("--kind", required=True, choices=KINDS)
    parser.add_argument("--calls", required=True, type=int)
    parser.add_argument("--ca", help="file of the CA certificate; enables TLS")
    parser.add_argument("--name", help="host name in the certificate")
    args = parser.parse_args()

    with channel_to(args.address, args.ca, args.name) as channel:
        counts = run(KINDS[args.kind], test_pb2_grpc.TestServiceStub(channel), args.calls)
    report(counts)


def channel_to(address, ca=None, name=None, options=()):
    """Returns a channel. It uses TLS if the file of a CA certificate is given."""
    if ca is None:
        return grpc.insecure_channel(address, options)
    credentials = grpc.ssl_channel_credentials(Path(ca).read_bytes())
    return grpc.secure_channel(address, credentials, [*options, ("grpc.ssl_target_name_override", name)])


def report(counts):
    """Prints the number of calls by failure reason; None counts calls that succeeded."""
    print("ok", counts.pop(None, 0))
    for why, count in counts.items():
        print("failed", count, why)
    sys.stdout.flush()


def outcome(call, stub):
    """Returns None if a call succeeds with the expected responses, and the reason if not."""
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
    """Returns a request for `count` responses of a size, with a payload of the same size."""
    return messages_pb2.StreamingOutputCallRequest(
        payload=payload(size), response_parameters=[messages_pb2.ResponseParameters(size=size)] * count
    )


if __name__ == "__main__":
    main()
