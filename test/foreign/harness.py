"""What every file of clients needs: its arguments, and a run of its tests that counts truly."""

import argparse
import os
import signal
import sys
import unittest
from pathlib import Path

import grpc

project = Path(__file__).resolve().parents[2]
foreign = Path(os.environ.get("FOREIGN") or Path.home() / ".cache/greeter-foreign")

#: Seconds within which anything at all must have happened.
BOUND = 10
#: Seconds for all the tests of a file; with more, one of them hangs.
MOST_SECONDS = 180


def channel_to(address):
    """A channel to a server, over TLS where FOREIGN_TLS_CA names who signed its certificate."""
    if authority := os.environ.get("FOREIGN_TLS_CA"):
        credentials = grpc.ssl_channel_credentials(Path(authority).read_bytes())
        return grpc.secure_channel(address, credentials)
    return grpc.insecure_channel(address)


def arguments(**flags):
    """Reads the flags named, each with its help, all of them required; unittest gets the rest."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name, text in flags.items():
        parser.add_argument(f"--{name.replace('_', '-')}", required=True, help=text)
    known, rest = parser.parse_known_args()
    sys.argv[1:] = rest
    return known


def run_tests(most_seconds=MOST_SECONDS):
    """Runs the tests of the file that was started; exits 0 when there are some and all passed."""
    # Both through KeyboardInterrupt, so that what was started is ended on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.alarm(most_seconds)
    runner = unittest.TextTestRunner(resultclass=Counted)
    result = unittest.main(testRunner=runner, exit=False).result

    # A file without tests has failed: something kept them from being found.
    failed = len(result.unhappy) or int(result.passed == 0)
    print(f"{Path(sys.argv[0]).name}: {result.passed} passed, {failed} failed", flush=True)
    if results := os.environ.get("FOREIGN_RESULTS"):
        Path(results).write_text(f"{result.passed} {failed}\n")
    sys.exit(1 if failed else 0)


class Counted(unittest.TextTestResult):
    """Counts every test once, as passed or as unhappy: failed, broken or skipped."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.passed = 0
        self.unhappy = set()

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1

    def addError(self, test, err):
        super().addError(test, err)
        self.unhappy.add(test.id())

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.unhappy.add(test.id())

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.unhappy.add(test.id())

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.unhappy.add(test.id())
