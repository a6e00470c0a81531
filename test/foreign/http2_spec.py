"""h2spec against src/http2: every rule of RFC 9113 and RFC 7541 that it knows, over h2c and TLS."""

import json
import re
import subprocess
import unittest

from harness import foreign, project, run_tests

#: All there are. A server that answers without DATA makes h2spec skip some, and look as good.
CASES = 145


class Http2Spec(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = subprocess.Popen(
            ["node", project / "test/http2_echo.ts"], stdout=subprocess.PIPE, text=True
        )
        cls.addClassCleanup(cls.server.wait)
        cls.addClassCleanup(cls.server.stdout.close)
        cls.addClassCleanup(cls.server.kill)
        cls.ports = json.loads(cls.server.stdout.readline())

    def test_over_plain_text(self):
        self.assert_all_pass(self.ports["plain"])

    def test_over_tls(self):
        self.assert_all_pass(self.ports["tls"], "-t", "-k")

    def assert_all_pass(self, port, *flags):
        h2spec = [foreign / "bin/h2spec", "-h", "127.0.0.1", "-p", str(port), "-o", "2", *flags]
        ran = subprocess.run(h2spec, stdout=subprocess.PIPE, text=True)
        counts = re.search(r"(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed", ran.stdout)
        self.assertIsNotNone(counts, ran.stdout)
        expected = (str(CASES), str(CASES), "0", "0")
        self.assertEqual(counts.groups(), expected, ran.stdout.split("Failures:")[-1])


if __name__ == "__main__":
    run_tests()
