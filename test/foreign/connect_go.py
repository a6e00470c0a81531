"""connect-go: all kinds of calls with gRPC, gRPC-Web and Connect, over HTTP/1.1 and HTTP/2."""

import os
import re
import subprocess
import unittest

from harness import BOUND, arguments, foreign, run_tests

args = arguments(addr="HOST:PORT of the server")

#: The number of tests in the client. If fewer pass, some did not run.
TESTS = 91


class ConnectGo(unittest.TestCase):
    def test_every_protocol(self):
        authority = os.environ.get("FOREIGN_TLS_CA")
        target = [f"https://{args.addr}", authority] if authority else [f"http://{args.addr}"]
        ran = subprocess.run(
            [foreign / "bin/connect_go", *target], capture_output=True, text=True, timeout=6 * BOUND
        )
        said = re.sub(r"(?m)^pass: .*\n", "", ran.stdout) + ran.stderr
        self.assertEqual((said, ran.returncode), (f"{TESTS} passed, 0 failed\n", 0))


if __name__ == "__main__":
    run_tests()
