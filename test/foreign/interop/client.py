"""Runs one of gRPC's interop clients for one case."""

import os
import subprocess
from typing import NamedTuple

from harness import foreign
from interop import repeated
from interop.cases import SLEEPERS
from interop.certificates import AUTHORITY, NAME

#: The maximum duration of a case, in seconds. The longest, slow_consumer, sleeps for 40 s.
CASE_SECONDS = 90

#: Interop clients contain this load balancing policy only for these cases.
BALANCER = '--service_config_json={"loadBalancingConfig":[{"test_backend_metrics_load_balancer":{}}]}'
SOAK = (
    "--soak_iterations=10",
    "--soak_overall_timeout_seconds=60",
    "--soak_per_iteration_max_acceptable_latency_ms=5000",
)
FLAGS = {
    "orca_per_rpc": (BALANCER,),
    "orca_oob": (BALANCER,),
    "rpc_soak": SOAK,
    "channel_soak": SOAK,
    "long_lived_channel": ("--soak_iterations=3", "--iteration_interval=1"),
}
TLS_FLAGS = {
    # The other clients contain the certificate; this one looks for it in its source tree.
    "go": (f"--ca_file={AUTHORITY}",),
    # Without this flag, it uses plaintext for this case.
    ("cpp", "pick_first_unary"): ("--custom_credentials_type=ssl",),
}

#: The line that proves that the case ran: a client skips it and exits with 0 if its probe finds that the server
#: does not distinguish compressed requests.
PROOF = {
    ("cpp", "client_compressed_unary"): "Compressed unary request probe succeeded",
    ("cpp", "client_compressed_streaming"): "Compressed streaming request probe succeeded",
}

#: The C++ client logs its steps only at this level.
ENVIRONMENT = os.environ | {"GRPC_VERBOSITY": "DEBUG"}

_running = set()


class Result(NamedTuple):
    """The result of a case; `says` is the end of the output, or the reason for a failure."""

    passed: bool
    says: str


def run_client(client, case, port, tls, seconds=CASE_SECONDS):
    """Runs a case against a local server. It passes only if the output proves that the case ran."""
    arguments = [*where(client, case, port, tls), *FLAGS.get(case, ()), f"--test_case={case}"]
    try:
        code, output = run(client, case, arguments, seconds)
    except subprocess.TimeoutExpired:
        return Result(False, f"TIMEOUT after {seconds} s")
    output = output.decode(errors="replace")
    if code != 0:
        return Result(False, f"FAIL: exit {code}\n{output[-3000:]}")
    if PROOF.get((client, case), "") not in output:
        return Result(False, "FAIL: it exits 0, but has skipped the test")
    return Result(True, "")


def run(client, case, arguments, seconds):
    """Returns the exit code and the output. Raises TimeoutExpired if the client does not end."""
    flags = ["--use_okhttp=true"] if client == "okhttp" else []
    # Each of the long cases would keep a process that nothing else uses.
    if client in repeated.COMMANDS and case not in SLEEPERS:
        return repeated.run(client, [*flags, *arguments], seconds)
    program = foreign / f"bin/interop_{'java' if client == 'okhttp' else client}"
    with subprocess.Popen(
        [program, *flags, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=ENVIRONMENT,
    ) as ran:
        _running.add(ran)
        try:
            output = ran.communicate(timeout=seconds)[0]
        finally:
            ran.kill()
            _running.discard(ran)
    return ran.returncode, output


def kill_clients():
    """Kills the clients that are running."""
    for ran in tuple(_running):
        ran.kill()
    repeated.stop()


def where(client, case, port, tls):
    address = ["--server_host=127.0.0.1", f"--server_port={port}", f"--use_tls={str(tls).lower()}"]
    if not tls:
        return address
    trust = ["--use_test_ca=true", f"--server_host_override={NAME}"]
    return [*address, *trust, *TLS_FLAGS.get(client, ()), *TLS_FLAGS.get((client, case), ())]
