"""h2spec: every rule of RFC 9113 and RFC 7541 that it knows."""

import re
import subprocess

from harness import foreign

#: All there are. A server that answers without DATA makes h2spec skip some, and look as good.
CASES = 145


def assert_all_pass(test, host, port, *flags):
    """Fails the test unless every case passes, and none is skipped."""
    h2spec = [foreign / "bin/h2spec", "-h", host, "-p", str(port), "-o", "2", *flags]
    ran = subprocess.run(h2spec, stdout=subprocess.PIPE, text=True)
    counts = re.search(r"(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed", ran.stdout)
    test.assertIsNotNone(counts, ran.stdout)
    expected = (str(CASES), str(CASES), "0", "0")
    test.assertEqual(counts.groups(), expected, ran.stdout.split("Failures:")[-1])
