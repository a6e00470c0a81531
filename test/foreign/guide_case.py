"""A guide's client as a test, on each of the two addresses that the guides dial."""

import unittest

import grpc
from harness import BOUND, arguments, channel_to

args = arguments(addr="HOST:PORT of most guides", sample_addr="HOST:PORT of the sample guide")

#: What a name may hold: several bytes a character, several characters a sign, and controls.
UNICODE = 'Zoë 世界 👩‍🚀 \0\r\n"\\'


class GuideCase(unittest.TestCase):
    """Has the guide's `stub`; the reply to a call must be the expected message, to the byte."""

    stub_class = None
    address = None

    @classmethod
    def setUpClass(cls):
        cls.channel = channel_to(cls.address)
        cls.addClassCleanup(cls.channel.close)
        cls.stub = cls.stub_class(cls.channel)

    def assert_replies(self, method, request, *expected):
        """A request is a message, or a list of them for a method that takes a stream."""
        reply = method(iter(request) if isinstance(request, list) else request, timeout=BOUND)
        replies = list(reply) if isinstance(reply, grpc.RpcContext) else [reply]
        # Bytes keep what the .proto does not name: messages that compare equal might not be.
        self.assertEqual(
            [each.SerializeToString() for each in replies],
            [each.SerializeToString() for each in expected],
            replies,
        )


def on_both_addresses(*cases):
    """A suite with every test of these cases, once for each address."""
    suite = unittest.TestSuite()
    for case in cases:
        for where, address in (("addr", args.addr), ("sample_addr", args.sample_addr)):
            here = type(f"{case.__name__}_on_{where}", (case,), {"address": address})
            suite.addTests(unittest.defaultTestLoader.loadTestsFromTestCase(here))
    return suite
