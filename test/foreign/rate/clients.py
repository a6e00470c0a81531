"""Load generators: commands that make many calls on one connection with a real client."""

import json
import os
import re
import subprocess
from typing import NamedTuple

from harness import foreign, project
from interop.certificates import AUTHORITY, NAME

#: The kinds of calls. gRPC's interop clients soak with unary calls; the others make all kinds.
KINDS = ("unary", "server_stream", "client_stream", "bidi")
SOAK = "rpc_soak"

FOLDER = project / "test/foreign/rate"
_python = foreign / "interop/venv/bin/python"
_stubs = foreign / "interop/python/src/python/grpcio_tests"

#: The protos, methods and requests for ghz. A list is a stream of requests.
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
    """The number of a client's OK calls, its messages about failed ones, and the number of cancelled ones."""

    ok: int
    failed: list
    cancelled: int = 0


def run_client(client, kind, calls, address, tls, seconds):
    """Runs a client. A timeout, or a non-zero exit code, is a failure."""
    return run(CLIENTS[client](kind, calls, address, tls), seconds, _READERS.get(client, read_report), calls)


def run_slow(address, tls, seconds):
    """Runs slow.py: streams that are not read, and calls beside them."""
    return run([_python, FOLDER / "slow.py", "--address", address, *trust(tls)], seconds)


def run_crowd(address, clients, seconds):
    """Runs crowd.py: many clients, some of which read slowly or cancel calls."""
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
    """Returns the command of one of gRPC's interop clients with a soak test."""

    def command(kind, calls, address, tls):
        host, port = address.split(":")
        where = [f"--server_host={host}", f"--server_port={port}", f"--use_tls={str(tls).lower()}"]
        trusting = ["--use_test_ca=true", f"--server_host_override={NAME}"] if tls else []
        own = [f"--ca_file={AUTHORITY}"] if tls and client == "go" else []
        flags = ["--use_okhttp=true"] if client == "okhttp" else []
        name = "java" if client in ("okhttp", "java_interop") else client
        # The same size as in the other kinds, if the client has a flag for it; the default is 300 kB.
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
    """Parses the output of our own clients: `ok COUNT` and `failed COUNT REASON`."""
    ok = re.search(r"^ok (\d+)$", output, re.MULTILINE)
    failed = re.findall(r"^failed (.*)$", output, re.MULTILINE)
    return Outcome(int(ok[1]), failed) if ok else Outcome(0, [f"no report: {output[-3000:]}"])


def read_crowd(output):
    """Parses the same, and `cancelled COUNT`."""
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
    """A soak test reports no counts: it exits with 0 if all calls succeeded."""
    return Outcome(calls, [])


_READERS = {"ghz": read_ghz, "go": read_soak, "java_interop": read_soak, "okhttp": read_soak, "cpp": read_soak}
