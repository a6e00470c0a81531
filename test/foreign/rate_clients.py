"""Clients and proxies that nobody here wrote, at rate: no call fails, and no connection is given up.

Our own engine, in plain text and over TLS. What a client says of its calls is held against what the
server's log says of them: so many ended well, by so many connections, and nothing else happened.
"""

import unittest

from harness import arguments, run_tests
from interop.certificates import SERVED
from rate.clients import KINDS
from rate.counted_server import CountedServer
from rate.runs import Crowd, Pooled, Run, Slow, at_rate

args = arguments(file="the built file")

#: Seconds for all the tests together, and for a client.
MOST_SECONDS = 360
CLIENT_SECONDS = 90

RUNS = (
    *at_rate(go=20_000, others=5000),
    Run("go", "channel_soak", 100, range(100, 101)),
    Slow("grpcio", "slow_streams", 14),
)
BEHIND_PROXIES = (
    Crowd("envoy", "fifty_clients", 50),
    *(Pooled("nginx", kind, 5000, range(2, 50)) for kind in KINDS),
)


class AtRate(unittest.TestCase):
    """All that is not behind a proxy goes to one server, which lives through all of it."""

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
    run_tests(MOST_SECONDS)
