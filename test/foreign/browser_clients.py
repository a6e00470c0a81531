"""Clients in headless Chromium, on a page of another origin than the server."""

import re
import unittest
from socket import gethostname

from browser.chromium import Page
from harness import arguments, run_tests
from interop.certificates import SERVED
from server import Server

args = arguments(file="the built file")

CLIENTS = (
    "connect-web",
    "connect-web, protobuf",
    "connect-web, gRPC-Web",
    "grpc-web, text",
    "grpc-web, binary",
    "fetch",
)
#: In binary, Google's client reads a stream as a whole.
WHOLE = "grpc-web, binary"
PROTOCOLS = ("connect", "grpc-web")


def payload_of(body):
    return {"payload": {"body": body}}


#: The bytes of x-grpc-test-echo-trailing-bin are sent with padding, and returned without it.
METADATA = {"initial": "mine", "trailing": "q/8"}
FIELD = {"field": "service", "description": "at most 1000 characters"}
TOO_LONG = {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [FIELD]}
#: What a page sees of its calls.
EXPECTED = {
    "unary": METADATA | {"messages": [payload_of("AAAA") | {"hostname": gethostname()}]},
    "stream": METADATA | {"messages": [payload_of(body) for body in ("AA==", "AAA=", "AAAA")]},
    "status": METADATA | {"messages": [], "error": {"code": 9, "message": "refused", "details": []}},
    "details": {
        "messages": [],
        "initial": None,
        "trailing": None,
        "error": {
            "code": 3,
            "message": 'Cannot accept "service": at most 1000 characters',
            "details": [TOO_LONG],
        },
    },
}
#: The codes of the errors above, as fetch reads them.
NAMES = {"status": "failed_precondition", "details": "invalid_argument"}
#: Browsers do not tell a page why a call is not allowed. Google's client takes that for a response.
BLOCKED = (
    "Failed to fetch",
    "TypeError: Failed to fetch",
    "Http response at 400 or 500 level, http status code: 0",
)


class Browser(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with Page() as page:
            allowed = ("--cors-origins", page.origin)
            cls.servers = {
                "plain": cls.serve(*allowed),
                "tls": cls.serve(*allowed, *SERVED),
                "closed": cls.serve(),
            }
            cls.seen = page.visit({name: url_of(name, each) for name, each in cls.servers.items()})

    @classmethod
    def serve(cls, *flags):
        server = Server(args.file, *flags)
        cls.addClassCleanup(server.kill)
        return server

    def test_cancelled_streams_end_on_the_server(self):
        for server in "plain", "tls":
            for protocol in PROTOCOLS:
                method = "grpc.testing.TestService/StreamingOutputCall"
                ended = {"rpc.method": method, "rpc.status_code": "CANCELLED", "protocol": protocol}
                self.servers[server].wait_for(**ended)

    def test_a_call_by_get(self):
        self.assertEqual(self.seen["get"], {"message": "Hello, you!"})

    def test_a_stream_of_requests_over_http_2(self):
        self.assertEqual(self.seen["upload"], {"aggregatedPayloadSize": 3})

    def test_without_cors_origins_no_call_is_allowed(self):
        for client in CLIENTS:
            with self.subTest(client=client):
                outcome = self.seen["closed"][client]
                self.assertEqual(outcome["messages"], [])
                self.assertIn(outcome["error"]["message"], BLOCKED)
        self.servers["closed"].wait_for(reason="http_405")


def url_of(name, server):
    return f"{'https' if name == 'tls' else 'http'}://{server.address}"


def called(server, call, client):
    def test(self):
        expected = EXPECTED[call]
        if client == "fetch" and call in NAMES:
            expected = expected | {"error": expected["error"] | {"code": NAMES[call]}}
        self.assertEqual(self.seen[server][call][client], expected)

    return test


def cancelled(server, client):
    def test(self):
        self.assertEqual(self.seen[server]["first"][client]["messages"], [payload_of("AA==")])

    return test


for server in "plain", "tls":
    for client in CLIENTS:
        name = re.sub(r"\W+", "_", f"{client} {server}")
        for call in EXPECTED:
            setattr(Browser, f"test_{call}_{name}", called(server, call, client))
        if client != WHOLE:
            setattr(Browser, f"test_reads_messages_as_they_arrive_{name}", cancelled(server, client))


if __name__ == "__main__":
    run_tests()
