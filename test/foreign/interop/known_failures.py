"""Known failures and their reasons. A listed case that passes fails its test."""

from typing import NamedTuple

COMPRESSION = "grpc-js's server cannot compress a response"
PROBE = "grpc-js tells no handler whether a request was compressed"

GRPC_JS = ("grpc-js",)


class Failure(NamedTuple):
    """A case that fails with some clients on some engines."""

    case: str
    clients: tuple
    engines: tuple
    reason: str


KNOWN_FAILURES = (
    Failure("client_compressed_unary", ("java", "okhttp", "cpp", "ruby"), GRPC_JS, PROBE),
    Failure("client_compressed_streaming", ("java", "okhttp", "cpp", "ruby"), GRPC_JS, PROBE),
    Failure("server_compressed_unary", ("cpp",), GRPC_JS, COMPRESSION),
    Failure("server_compressed_streaming", ("cpp",), GRPC_JS, COMPRESSION),
)


def reason_for(run):
    """Returns the reason why a run is expected to fail, with or without TLS; None if it should pass."""
    for known in KNOWN_FAILURES:
        if run.case == known.case and run.client in known.clients and run.engine in known.engines:
            return known.reason
    return None
