"""grpc-go: the status of each fault, for calls of each kind, and retries."""

import os
import subprocess
import unittest

from harness import BOUND, arguments, foreign, run_tests

args = arguments(addr="HOST:PORT of the server")

#: The number of tests in the client. If fewer pass, some did not run.
TESTS = 60


class GrpcGo(unittest.TestCase):
    def test_every_fault(self):
        authority = os.environ.get("FOREIGN_TLS_CA")
        target = [args.addr, authority] if authority else [args.addr]
        ran = subprocess.run(
            [foreign / "bin/faults_go", *target], capture_output=True, text=True, timeout=6 * BOUND
        )
        said = ran.stdout + ran.stderr
        self.assertEqual((said, ran.returncode), (f"{TESTS} passed, 0 failed\n", 0))


if __name__ == "__main__":
    run_tests()
