"""grpc-go and grpc-java: the status of each fault, for calls of several kinds, retries, and hedging."""

import os
import subprocess
import unittest

from harness import BOUND, arguments, foreign, run_tests

args = arguments(addr="HOST:PORT of the server")


class Faults(unittest.TestCase):
    def test_grpc_go(self):
        self.check("faults_go", 60)

    def test_grpc_java(self):
        self.check("faults_java", 40)

    def check(self, client, tests):
        """Fails if a test of the client fails, or if it did not run so many."""
        authority = os.environ.get("FOREIGN_TLS_CA")
        target = [args.addr, authority] if authority else [args.addr]
        ran = subprocess.run(
            [foreign / "bin" / client, *target], capture_output=True, text=True, timeout=6 * BOUND
        )
        expected = (f"{tests} passed, 0 failed\n", 0)
        # grpc-java logs what it ignores.
        self.assertEqual((ran.stdout, ran.returncode), expected, ran.stderr[-5000:])


if __name__ == "__main__":
    run_tests()
