"""The same bytes to src/engine/http2, to node:http2 and to Go's x/net/http2: test/differential, with Go's part."""

import os
import subprocess
import unittest

from harness import foreign, project, run_tests

#: Sequences of frames in any order; `npm test` has fewer, and without Go.
SESSIONS = "3000"


class Differential(unittest.TestCase):
    def test_every_difference_is_in_the_list(self):
        tests = project / "test/differential/differential.test.ts"
        env = {"FUZZ_SESSIONS": SESSIONS, **os.environ, "X_NET": str(foreign / "bin/x_net")}
        # What another run of tests says to those within it is not for this one.
        env.pop("NODE_TEST_CONTEXT", None)
        ran = subprocess.run(
            ["node", "--test", tests], cwd=project, env=env, capture_output=True, text=True, timeout=150
        )
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)


if __name__ == "__main__":
    run_tests()
