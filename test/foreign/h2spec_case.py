"""h2spec: all its cases for RFC 9113 and RFC 7541."""

import re
import subprocess

from harness import foreign

#: The number of all cases. h2spec skips some, and still succeeds, if a server answers without DATA.
CASES = 145


def assert_all_pass(test, host, port, *flags):
    """Asserts that all cases pass and that none is skipped."""
    h2spec = [foreign / "bin/h2spec", "-h", host, "-p", str(port), "-o", "2", *flags]
    ran = subprocess.run(h2spec, stdout=subprocess.PIPE, text=True)
    counts = re.search(r"(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed", ran.stdout)
    test.assertIsNotNone(counts, ran.stdout)
    expected = (str(CASES), str(CASES), "0", "0")
    test.assertEqual(counts.groups(), expected, ran.stdout.split("Failures:")[-1])
