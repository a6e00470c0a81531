"""Real clients and proxies under load: no call fails, and no connection is closed.

The server uses our own engine, with and without TLS. The test compares the clients' reports with the server's
log: the numbers of OK calls and of connections, and no other events.
"""

import unittest

from harness import arguments, run_tests
from interop.certificates import SERVED
from rate.clients import KINDS
from rate.counted_server import CountedServer
from rate.runs import Crowd, Pooled, Run, Slow, at_rate

args = arguments(file="the built file")

#: The maximum duration of all tests, and of one client, in seconds.
MAX_SECONDS = 360
CLIENT_SECONDS = 90

RUNS = (
    *at_rate(go=20_000, others=5000),
    Run("go", "channel_soak", 100, range(100, 101)),
    Slow("grpcio", "slow_streams", 14),
)
BEHIND_PROXIES = (
    Crowd("envoy", "fifty_clients", 50),
    *(Pooled("nginx", kind, 5000, range(2, 50), caller="ghz") for kind in KINDS),
)


class AtRate(unittest.TestCase):
    """All clients without a proxy call the same server, one after the other."""

    @classmethod
    def setUpClass(cls):
        cls.servers = {}
        for tls in (False, True):
            cls.servers[tls] = CountedServer(args.file, *(SERVED if tls else ()))
            cls.addClassCleanup(cls.servers[tls].kill)


class BehindProxies(unittest.TestCase):
    def setUp(self):
        server = CountedServer(args.file)
        self.addCleanup(server.kill)
        self.servers = {False: server}


def tested(run, tls):
    def test(self):
        result = run.go(self.servers[tls], tls, CLIENT_SECONDS)
        self.assertEqual(list(result.problems()), [])

    return test


for tls in (False, True):
    for each in RUNS:
        over = "over_tls" if tls else "in_plain_text"
        setattr(AtRate, f"test_{each.client}_{each.kind}_{over}", tested(each, tls))
for each in BEHIND_PROXIES:
    setattr(BehindProxies, f"test_{each.client}_{each.kind}", tested(each, tls=False))


if __name__ == "__main__":
    run_tests(MAX_SECONDS)
