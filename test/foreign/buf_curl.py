"""buf curl: gRPC, gRPC-Web and Connect over HTTP/1.1 and HTTP/2, with reflection and with a schema."""

import json
import os
import re
import subprocess
import unittest

from grpcurl_calls import CALLS
from grpcurl_output import json_values
from harness import BOUND, arguments, project, run_tests
from services import SERVICES

args = arguments(addr="HOST:PORT of the server")

AUTHORITY = os.environ.get("FOREIGN_TLS_CA")
URL = f"{'https' if AUTHORITY else 'http'}://{args.addr}"
SECURITY = ("--cacert", AUTHORITY) if AUTHORITY else ()
SCHEMA = ("--schema", project / "proto")
PROTOCOLS = ("connect", "grpcweb", "grpc")
#: Flags by the version in a response. Over TLS, buf curl negotiates HTTP/2; without TLS, it always uses HTTP/2 for gRPC.
VERSIONS = {"2.0": ()} if AUTHORITY else {"1.1": (), "2.0": ("--http2-prior-knowledge",)}

TEST_SERVICE = "grpc.testing.TestService/"
#: The methods of a unary call and the three kinds of streams.
METHODS = ("UnaryCall", "StreamingOutputCall", "StreamingInputCall", "FullDuplexCall")
BIDIRECTIONAL = "FullDuplexCall"
REFUSED = {"responseStatus": {"code": 9, "message": "refused by the test"}}
#: buf curl's exit code is the status code, shifted by three bits.
FAILED_PRECONDITION = 9 << 3


class BufCurl(unittest.TestCase):
    def test_lists_every_service(self):
        self.assertEqual(buf_curl("--list-services", path="").stdout.split(), sorted(SERVICES))

    def test_lists_every_method(self):
        self.assertEqual(buf_curl("--list-methods", path="").stdout.split(), sorted(CALLS))

    def test_gets_an_error(self):
        for protocol in PROTOCOLS:
            with self.subTest(protocol=protocol):
                over = ("--protocol", protocol, *SCHEMA)
                ran = buf_curl(*over, *data(REFUSED), path=TEST_SERVICE + "UnaryCall", code=FAILED_PRECONDITION)

                said = json.loads(ran.stderr)
                self.assertEqual(said, {"code": "failed_precondition", "message": "refused by the test"})


def called(protocol, version, method):
    def test(self):
        requests, replies = CALLS[TEST_SERVICE + method]
        over = ("--protocol", protocol, *VERSIONS[version])
        header = ("-v", "-H", "x-grpc-test-echo-initial: mine")

        ran = buf_curl(*over, *SCHEMA, *header, *data(*requests), path=TEST_SERVICE + method)

        self.assertEqual(list(json_values(ran.stdout)), replies)
        response = re.findall(r"^buf: < \(#1\) (\S+).* (\S+)$", ran.stderr, re.M)
        self.assertEqual(response[0], (f"HTTP/{version}", "OK"))
        self.assertIn(("X-Grpc-Test-Echo-Initial:", "mine"), response)

    return test


def reflected(protocol):
    def test(self):
        requests, replies = CALLS["helloworld.Greeter/SayHello"]
        ran = buf_curl("--protocol", protocol, *data(*requests), path="helloworld.Greeter/SayHello")
        self.assertEqual(list(json_values(ran.stdout)), replies)

    return test


for protocol in PROTOCOLS:
    setattr(BufCurl, f"test_{protocol}_by_reflection", reflected(protocol))
    for version in VERSIONS:
        for method in METHODS:
            if version == "2.0" or (protocol != "grpc" and method != BIDIRECTIONAL):
                name = f"test_{protocol}_over_http_{version[0]}_{method}"
                setattr(BufCurl, name, called(protocol, version, method))


def data(*requests):
    return ("-d", "".join(map(json.dumps, requests)))


def buf_curl(*flags, path, code=0):
    ran = subprocess.run(
        ["buf", "curl", *SECURITY, *flags, f"{URL}/{path}"],
        capture_output=True,
        text=True,
        timeout=BOUND,
    )
    assert ran.returncode == code, f"buf curl {flags} {path}: exit {ran.returncode}\n{ran.stderr}"
    return ran


if __name__ == "__main__":
    run_tests()
