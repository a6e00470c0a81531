"""Runs test/differential with Go's x/net/http2, beside src/engine/http2 and node:http2."""

import os
import subprocess
import unittest

from harness import foreign, project, run_tests

#: The number of random frame sequences; `npm test` runs fewer, and without Go.
SESSIONS = "3000"


class Differential(unittest.TestCase):
    def test_every_difference_is_in_the_list(self):
        tests = project / "test/differential/differential.test.ts"
        env = {"FUZZ_SESSIONS": SESSIONS, **os.environ, "X_NET": str(foreign / "bin/x_net")}
        # This variable would make the nested run report to an outer test runner.
        env.pop("NODE_TEST_CONTEXT", None)
        ran = subprocess.run(
            ["node", "--test", tests], cwd=project, env=env, capture_output=True, text=True, timeout=150
        )
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)


if __name__ == "__main__":
    run_tests()
