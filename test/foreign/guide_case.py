"""The base of tests with a guide's client, for both addresses that the guides dial."""

import unittest

import grpc
from harness import BOUND, arguments, channel_to

args = arguments(addr="HOST:PORT of most guides", sample_addr="HOST:PORT of the sample guide")

#: Multi-byte characters, a grapheme of several characters, and control characters.
UNICODE = 'Zoë 世界 👩‍🚀 \0\r\n"\\'


class GuideCase(unittest.TestCase):
    """Provides the guide's `stub`. Compares replies with the expected messages byte by byte."""

    stub_class = None
    address = None

    @classmethod
    def setUpClass(cls):
        cls.channel = channel_to(cls.address)
        cls.addClassCleanup(cls.channel.close)
        cls.stub = cls.stub_class(cls.channel)

    def assert_replies(self, method, request, *expected):
        """Calls a method with a message, or with a list of messages if the client streams."""
        reply = method(iter(request) if isinstance(request, list) else request, timeout=BOUND)
        replies = list(reply) if isinstance(reply, grpc.RpcContext) else [reply]
        # Messages with different unknown fields compare equal, but their bytes differ.
        self.assertEqual(
            [each.SerializeToString() for each in replies],
            [each.SerializeToString() for each in expected],
            replies,
        )


def on_both_addresses(*cases):
    """Returns a suite that runs every test of these cases once for each address."""
    suite = unittest.TestSuite()
    for case in cases:
        for where, address in (("addr", args.addr), ("sample_addr", args.sample_addr)):
            here = type(f"{case.__name__}_on_{where}", (case,), {"address": address})
            suite.addTests(unittest.defaultTestLoader.loadTestsFromTestCase(here))
    return suite
