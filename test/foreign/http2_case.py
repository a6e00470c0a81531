"""The base of tests of src/engine/http2 alone: an echo server in a separate process, with and without TLS."""

import atexit
import json
import subprocess
import unittest

from harness import project


class Http2Case(unittest.TestCase):
    """Provides `ports`, with the keys `plain` and `tls`."""

    @classmethod
    def setUpClass(cls):
        cls.server = subprocess.Popen(
            ["node", project / "test/support/http2_echo.ts"], stdout=subprocess.PIPE, text=True
        )
        # It also runs if a signal ends the tests.
        atexit.register(cls.server.kill)
        cls.addClassCleanup(cls.server.wait)
        cls.addClassCleanup(cls.server.stdout.close)
        cls.addClassCleanup(cls.server.kill)
        cls.ports = json.loads(cls.server.stdout.readline())
