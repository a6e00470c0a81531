"""Connect's conformance suite: its clients call the engine with all middleware."""

import os
import re
import signal
import subprocess
import unittest

from harness import foreign, project, run_tests

#: The number of cases of gRPC by client and transport. The suite skips cases, and still succeeds, if it believes that
#: the server lacks a feature.
CASES = {
    ("reference-client", "TLS:false"): 510,
    ("grpc-reference-client", "TLS:false"): 180,
    ("reference-client", "TLS:true"): 510,
    ("reference-client", "TLS:true (with client certs)"): 6,
}
#: The cases of gRPC, Connect, gRPC-Web and JSON over both versions of HTTP.
EVERY_PROTOCOL = 5286
RUNNING = r"Running (\d+) tests with (\S+) for server config #\d+ \{HTTP_VERSION_2, PROTOCOL_GRPC, (.*)\}"


class Conformance(unittest.TestCase):
    def test_every_case_of_every_protocol(self):
        output, log, code = run_suite()

        running = re.findall(RUNNING, output)
        self.assertEqual({(by, over): int(cases) for cases, by, over in running}, CASES, output)
        counts = f"Total cases: {EVERY_PROTOCOL}\n{EVERY_PROTOCOL} passed, 0 failed\n"
        self.assertTrue(output.endswith(counts), f"{output[-10_000:]}\n{log[-10_000:]}")
        self.assertEqual(code, 0, output[-10_000:])


def run_suite():
    """Returns the output of the suite, the log of the servers, and the exit code of the suite."""
    # More servers at once make deadlines pass that should not.
    few = ["--parallel", "2"]
    suite = [foreign / "bin/connectconformance", "-v", "--trace", "--mode", "server", *few]
    config = ["--conf", project / "test/foreign/conformance/features.yaml"]
    server = ["--", "node", project / "test/conformance/server.ts"]
    with subprocess.Popen(
        [*suite, *config, *server],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as ran:
        try:
            output, log = ran.communicate()
        finally:
            # An interrupted suite does not end its servers.
            if ran.poll() is None:
                os.killpg(ran.pid, signal.SIGKILL)
    return output, log, ran.returncode


if __name__ == "__main__":
    run_tests()
