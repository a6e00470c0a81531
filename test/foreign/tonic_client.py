"""A Rust client on tonic: all kinds of calls, and messages of sizes around every limit."""

import re
import subprocess
import unittest

from harness import BOUND, arguments, foreign, run_tests
from interop.certificates import AUTHORITY, NAME, SERVED
from server import Server

args = arguments(file="the built file")

#: The number of tests in the client. If fewer pass, some did not run.
TESTS = 72


class Tonic(unittest.TestCase):
    def test_on_the_direct_engine(self):
        self.assert_all_pass("direct")

    def test_on_grpc_js(self):
        self.assert_all_pass("grpc-js")

    def assert_all_pass(self, engine):
        for scheme, flags, trust in (("http", (), ()), ("https", SERVED, (AUTHORITY, NAME))):
            with self.subTest(scheme=scheme):
                server = Server(args.file, "--engine", engine, "--parrot-interval", "100ms", *flags)
                self.addCleanup(server.kill)
                ran = subprocess.run(
                    [foreign / "bin/tonic_client", f"{scheme}://{server.address}", *trust],
                    capture_output=True,
                    text=True,
                    timeout=3 * BOUND,
                )
                said = re.sub(r"(?m)^pass: .*\n", "", ran.stdout) + ran.stderr
                self.assertEqual((said, ran.returncode), (f"{TESTS} passed, 0 failed\n", 0))


if __name__ == "__main__":
    run_tests()
