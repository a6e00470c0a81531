"""Functions that all client tests share: channels, arguments, and a test run that counts results."""

import argparse
import os
import signal
import sys
import unittest
from pathlib import Path

import grpc

project = Path(__file__).resolve().parents[2]
foreign = Path(os.environ.get("FOREIGN") or Path.home() / ".cache/greeter-foreign")

#: The maximum duration of any single wait, in seconds.
BOUND = 10
#: The maximum duration of all tests of a file, in seconds.
MAX_SECONDS = 180


def channel_to(address, options=()):
    """Returns a channel to a server. It uses TLS if FOREIGN_TLS_CA names a CA certificate."""
    if authority := os.environ.get("FOREIGN_TLS_CA"):
        credentials = grpc.ssl_channel_credentials(Path(authority).read_bytes())
        return grpc.secure_channel(address, credentials, options)
    return grpc.insecure_channel(address, options)


def arguments(**flags):
    """Parses required flags, given with their help texts. The other arguments are left for unittest."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name, text in flags.items():
        parser.add_argument(f"--{name.replace('_', '-')}", required=True, help=text)
    known, rest = parser.parse_known_args()
    sys.argv[1:] = rest
    return known


def run_tests(max_seconds=MAX_SECONDS):
    """Runs the tests of the main file. Exits with 0 if at least one test ran and all passed."""
    # Both signals raise KeyboardInterrupt, so that cleanups end child processes.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.alarm(max_seconds)
    runner = unittest.TextTestRunner(resultclass=Counted)
    result = unittest.main(testRunner=runner, exit=False).result

    # A run without tests is a failure.
    failed = len(result.failed) or int(result.passed == 0)
    print(f"{Path(sys.argv[0]).name}: {result.passed} passed, {failed} failed", flush=True)
    if results := os.environ.get("FOREIGN_RESULTS"):
        Path(results).write_text(f"{result.passed} {failed}\n")
    sys.exit(1 if failed else 0)


class Counted(unittest.TextTestResult):
    """Counts each test once: as passed, or as failed if it failed, raised an error or was skipped."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.passed = 0
        self.failed = set()

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1

    def addError(self, test, err):
        super().addError(test, err)
        self.failed.add(test.id())

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.failed.add(test.id())

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.failed.add(test.id())

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.failed.add(test.id())
