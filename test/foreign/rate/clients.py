"""Clients that nobody here wrote, each as a command that makes many calls on one connection."""

import json
import os
import re
import subprocess
from typing import NamedTuple

from harness import foreign, project
from interop.certificates import AUTHORITY, NAME

#: Kinds of calls. A soak is gRPC's own, of unary calls; every client that has no soak has the rest.
KINDS = ("unary", "server_stream", "client_stream", "bidi")
SOAK = "rpc_soak"

FOLDER = project / "test/foreign/rate"
_python = foreign / "interop/venv/bin/python"
_stubs = foreign / "interop/python/src/python/grpcio_tests"

#: What ghz calls, and with what. A list is a stream of requests.
_responses = [{"size": 100}] * 3
_GHZ = {
    "hello": ("hello.proto", "Hello/Hello", {"value": "World"}),
    "unary": ("grpc/testing/test.proto", "grpc.testing.TestService/UnaryCall", {"response_size": 100}),
    "server_stream": (
        "grpc/testing/test.proto",
        "grpc.testing.TestService/StreamingOutputCall",
        {"response_parameters": _responses},
    ),
    "client_stream": ("grpc/testing/test.proto", "grpc.testing.TestService/StreamingInputCall", [{}] * 3),
    "bidi": (
        "grpc/testing/test.proto",
        "grpc.testing.TestService/FullDuplexCall",
        [{"response_parameters": _responses[:1]}] * 3,
    ),
}


class Outcome(NamedTuple):
    """How many calls a client has seen end well, what of the others it says, and how many it has left."""

    ok: int
    failed: list
    cancelled: int = 0


def run_client(client, kind, calls, address, tls, seconds):
    """Runs a client; one that does not end in time, or fails as a whole, has failed."""
    return run(CLIENTS[client](kind, calls, address, tls), seconds, _READERS.get(client, read_report), calls)


def run_slow(address, tls, seconds):
    """Runs slow.py: streams that nobody reads, and calls beside them."""
    return run([_python, FOLDER / "slow.py", "--address", address, *trust(tls)], seconds)


def run_crowd(address, clients, seconds):
    """Runs crowd.py: so many clients, some of which are slow, or leave their calls."""
    return run([_python, FOLDER / "crowd.py", "--address", address, "--clients", clients], seconds, read_crowd)


def run(command, seconds, read=None, *more):
    try:
        ran = subprocess.run(
            [str(each) for each in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONPATH": str(_stubs)},
            timeout=seconds,
        )
    except subprocess.TimeoutExpired as late:
        output = (late.stdout or b"").decode(errors="replace")
        return Outcome(0, [f"does not end within {seconds} s: {output[-3000:]}"])
    output = ran.stdout.decode(errors="replace")
    if ran.returncode != 0:
        return Outcome(0, [f"exit {ran.returncode}: {output[-3000:]}"])
    return (read or read_report)(output, *more)


def ghz(kind, calls, address, tls):
    proto, method, data = _GHZ[kind]
    trusting = ["--cacert", AUTHORITY, "--cname", NAME] if tls else ["--insecure"]
    return [
        *(foreign / "bin/ghz", *trusting, "--import-paths", project / "proto", "--proto", proto),
        *("--call", method, "--data", json.dumps(data), "--connections", 1, "--concurrency", 4),
        *("--total", calls, "--format", "json", address),
    ]


def interop(client):
    """One of gRPC's interop clients, of which some can soak."""

    def command(kind, calls, address, tls):
        host, port = address.split(":")
        where = [f"--server_host={host}", f"--server_port={port}", f"--use_tls={str(tls).lower()}"]
        trusting = ["--use_test_ca=true", f"--server_host_override={NAME}"] if tls else []
        own = [f"--ca_file={AUTHORITY}"] if tls and client == "go" else []
        flags = ["--use_okhttp=true"] if client == "okhttp" else []
        name = "java" if client in ("okhttp", "java_interop") else client
        # As large as those of other kinds, where one can choose: by default they have 300 kB.
        sizes = [] if client == "cpp" else ["--soak_request_size=100", "--soak_response_size=100"]
        return [
            *(foreign / f"bin/interop_{name}", *flags, *where, *trusting, *own, f"--test_case={kind}"),
            *(f"--soak_iterations={calls}", "--soak_overall_timeout_seconds=600"),
            *sizes,
            "--soak_per_iteration_max_acceptable_latency_ms=20000",
        ]

    return command


def grpcio(kind, calls, address, tls):
    return [_python, FOLDER / "load.py", "--address", address, "--kind", kind, "--calls", calls, *trust(tls)]


def java(kind, calls, address, tls):
    return [foreign / "bin/load_java", address, kind, calls, *trust(tls)[1::2]]


def grpc_js(library):
    def command(kind, calls, address, tls):
        return [
            *("node", FOLDER / "load.ts", "--folder", foreign / "rate/node", "--library", library),
            *("--address", address, "--kind", kind, "--calls", calls, *trust(tls)),
        ]

    return command


def trust(tls):
    return ["--ca", AUTHORITY, "--name", NAME] if tls else []


CLIENTS = {
    "ghz": ghz,
    "go": interop("go"),
    "grpcio": grpcio,
    "java": java,
    "java_interop": interop("java_interop"),
    "okhttp": interop("okhttp"),
    "cpp": interop("cpp"),
    "grpc_js": grpc_js("grpc-js-now"),
    "grpc_js_2024": grpc_js("grpc-js-2024"),
}


def read_report(output, _calls=None):
    """What our own say: `ok COUNT`, and `failed COUNT WHY`."""
    ok = re.search(r"^ok (\d+)$", output, re.MULTILINE)
    failed = re.findall(r"^failed (.*)$", output, re.MULTILINE)
    return Outcome(int(ok[1]), failed) if ok else Outcome(0, [f"no report: {output[-3000:]}"])


def read_crowd(output):
    """The same, and `cancelled COUNT`."""
    cancelled = re.search(r"^cancelled (\d+)$", output, re.MULTILINE)
    return read_report(output)._replace(cancelled=int(cancelled[1]) if cancelled else 0)


def read_ghz(output, _calls):
    report = json.loads(output)
    errors = report.get("errorDistribution") or {}
    return Outcome(
        (report.get("statusCodeDistribution") or {}).get("OK", 0),
        [f"{count} {why}" for why, count in errors.items()],
    )


def read_soak(_output, calls):
    """A soak counts as a whole: it exits 0 when all of it has gone well."""
    return Outcome(calls, [])


_READERS = {"ghz": read_ghz, "go": read_soak, "java_interop": read_soak, "okhttp": read_soak, "cpp": read_soak}
