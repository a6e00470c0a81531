"""Health probe programs: the kubelet's prober, grpc-health-probe and `greeter health`."""

import subprocess

from harness import BOUND, foreign
from server import environment, program

#: The exit codes of kubelet_probe ...
SUCCESS, FAILURE = 0, 1
#: ... and those of grpc-health-probe and `greeter health`.
SERVING, BAD_ARGUMENTS, NO_CONNECTION, FAILED_CALL, NOT_SERVING = range(5)


def kubelet(address, service):
    host, _, port = address.rpartition(":")
    return run([foreign / "bin/kubelet_probe", "-host", host, "-port", port, "-service", service])


def original(*flags, **settings):
    return run([foreign / "bin/grpc-health-probe", *flags], **settings)


def greeter(file, *flags, **settings):
    return run([*program(file), "health", *flags], **settings)


def run(command, **settings):
    """Runs a command to its end, with additional environment variables."""
    return subprocess.run(
        command, capture_output=True, text=True, timeout=BOUND, env=environment(**settings)
    )
