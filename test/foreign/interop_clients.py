"""gRPC's six interop clients, on both engines, with and without TLS.

Every case of every client is a test. The results are the tables of docs/interop.md.
"""

import socket
import unittest

from harness import arguments, project, run_tests
from interop.certificates import SERVED
from interop.client import run_client
from interop.known_failures import reason_for
from interop.matrix import write_matrix
from interop.run_all import run_all, runs, stop
from server import Server

args = arguments(file="the built file")

ENGINES = ("direct", "grpc-js")
#: The maximum duration of all tests, in seconds.
MAX_SECONDS = 1200


class Interop(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        ports = {}
        for engine in ENGINES:
            for tls in (False, True):
                served = SERVED if tls else ()
                flags = ["--engine", engine, "--load-reports", "on" if tls else "off", *served]
                # The largest request of the interop cases has 10 MiB.
                server = Server(args.file, "--max-message-size", "16MiB", *flags)
                cls.addClassCleanup(server.kill)
                ports[engine, tls] = server.port
        cls.results = run_all(ports)

    @classmethod
    def tearDownClass(cls):
        passed = {run: future.result().passed for run, future in cls.results.items()}
        write_matrix(project / "docs/interop.md", passed)


def tested(run):
    def test(self):
        result = self.results[run].result()
        reason = reason_for(run)
        if reason is None:
            self.assertTrue(result.passed, result.says)
        else:
            self.assertFalse(result.passed, f"passes, but is known to fail: {reason}")

    return test


for each in runs(ENGINES):
    over = "over_tls" if each.tls else "in_plain_text"
    setattr(Interop, f"test_{each.client}_{each.case}_on_{each.engine}_{over}", tested(each))


class FailuresAreNoticed(unittest.TestCase):
    """Runs that must not count as passed."""

    def test_every_client_fails_without_the_service(self):
        server = Server(args.file, "--interop", "off")
        self.addCleanup(server.kill)
        for client in ("go", "java", "okhttp", "cpp", "python", "ruby"):
            with self.subTest(client=client):
                result = run_client(client, "empty_unary", server.port, tls=False)
                self.assertFalse(result.passed)
                self.assertIn("FAIL: exit", result.says)

    def test_a_client_that_skips_a_case_does_not_pass(self):
        server = Server(args.file, "--interop", "off")
        self.addCleanup(server.kill)
        result = run_client("cpp", "client_compressed_unary", server.port, tls=False)
        self.assertFalse(result.passed)
        self.assertIn("skipped", result.says)

    def test_a_client_that_hangs_does_not_pass(self):
        for client in ("go", "python"):
            with self.subTest(client=client), socket.create_server(("127.0.0.1", 0)) as silent:
                port = silent.getsockname()[1]
                result = run_client(client, "empty_unary", port, tls=False, seconds=1)
                self.assertFalse(result.passed)
                self.assertIn("TIMEOUT", result.says)

    def test_clients_run_cases_after_failed_ones(self):
        server = Server(args.file)
        self.addCleanup(server.kill)
        for client in ("java", "okhttp", "python", "ruby"):
            with self.subTest(client=client):
                for case, passed in ("empty_unary", True), ("missing", False), ("empty_unary", True):
                    result = run_client(client, case, server.port, tls=False)
                    self.assertEqual(result.passed, passed, result.says)


if __name__ == "__main__":
    try:
        run_tests(MAX_SECONDS)
    finally:
        stop()
