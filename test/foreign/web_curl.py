"""curl: JSON, Connect, gRPC-Web and gRPC over HTTP/1.1 and HTTP/2, without a library."""

import base64
import gzip
import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path
from urllib.parse import quote

from grpcurl_calls import CALLS
from harness import BOUND, arguments, run_tests

args = arguments(addr="HOST:PORT of the server")

AUTHORITY = os.environ.get("FOREIGN_TLS_CA")
URL = f"{'https' if AUTHORITY else 'http'}://{args.addr}"
SECURITY = ("--cacert", AUTHORITY) if AUTHORITY else ()
VERSIONS = {"1.1": "--http1.1", "2": "--http2" if AUTHORITY else "--http2-prior-knowledge"}

SAY_HELLO = "helloworld.Greeter/SayHello"
HELLO = {"message": "Hello, you!"}
TEST_SERVICE = "grpc.testing.TestService/"
STREAMS = ("StreamingOutputCall", "StreamingInputCall", "FullDuplexCall")
SLOW = {"responseParameters": [{"size": 1, "intervalUs": 60_000_000}]}
#: The flags of the last envelope of a stream.
CONNECT_END, GRPC_WEB_END = 0x02, 0x80


class Curl(unittest.TestCase):
    def test_json(self):
        for version in VERSIONS:
            reply = curl(version, SAY_HELLO, "application/json", b'{"name":"you"}')
            self.assertEqual(json.loads(reply), HELLO)

    def test_compressed_json(self):
        for version in VERSIONS:
            body = gzip.compress(b'{"name":"you"}')
            flags = ("-H", "content-encoding: gzip", "--compressed")
            reply = curl(version, SAY_HELLO, "application/json", body, *flags)
            self.assertEqual(json.loads(reply), HELLO)

    def test_get(self):
        for version in VERSIONS:
            query = f"?connect=v1&encoding=json&message={quote(json.dumps({'name': 'you'}))}"
            self.assertEqual(json.loads(curl(version, SAY_HELLO + query)), HELLO)

    def test_pages_for_people_and_probes(self):
        for version in VERSIONS:
            self.assertIn(b"curl", curl(version, ""))
            self.assertEqual(curl(version, "healthz"), b"ok\n")
            self.assertEqual(curl(version, "readyz"), b"ok\n")

    def test_connect_streams(self):
        for version in VERSIONS:
            for method in STREAMS:
                if version == "1.1" and method == "FullDuplexCall":
                    continue
                with self.subTest(version=version, method=method):
                    requests, replies = CALLS[TEST_SERVICE + method]
                    body = b"".join(map(enveloped, requests))
                    reply = curl(version, TEST_SERVICE + method, "application/connect+json", body)
                    *messages, end = envelopes(reply)
                    self.assertEqual(messages, [(0, reply) for reply in replies])
                    self.assertEqual(end[0], CONNECT_END)
                    self.assertNotIn("error", end[1])

    def test_a_conversation_needs_http_2(self):
        method = TEST_SERVICE + "FullDuplexCall"
        curl("1.1", method, "application/connect+json", enveloped({}), status=505)

    def test_a_deadline(self):
        for version in VERSIONS:
            limit = ("-H", "connect-timeout-ms: 100")
            method = TEST_SERVICE + "StreamingOutputCall"
            reply = curl(version, method, "application/connect+json", enveloped(SLOW), *limit)
            [(flags, end)] = envelopes(reply)
            self.assertEqual((flags, end["error"]["code"]), (CONNECT_END, "deadline_exceeded"))

    def test_grpc_web_in_base64(self):
        for version in VERSIONS:
            body = base64.b64encode(enveloped(b"\x0a\x03you"))
            reply = curl(version, SAY_HELLO, "application/grpc-web-text", body)
            # Each part has its own padding.
            parts = reply.replace(b"=", b"= ").replace(b"= =", b"==").split()
            raw = b"".join(map(base64.b64decode, parts))
            message, end = raw_envelopes(raw)
            self.assertEqual(message, (0, b"\x0a\x0bHello, you!"))
            self.assertEqual(end[0], GRPC_WEB_END)
            self.assertIn(b"grpc-status: 0\r\n", end[1])

    def test_grpc_with_json(self):
        with tempfile.TemporaryDirectory() as folder:
            heads = Path(folder, "heads")
            flags = ("-D", heads, "-H", "te: trailers")
            body = enveloped({"name": "you"})
            reply = curl("2", SAY_HELLO, "application/grpc+json", body, *flags)
            self.assertEqual(envelopes(reply), [(0, HELLO)])
            self.assertIn("grpc-status: 0", heads.read_text())


def curl(version, path, kind=None, body=b"", *flags, status=200):
    """Returns the body of the response. Posts a body of this content type, or gets without one."""
    told = ("-w", "%{stderr}HTTP/%{http_version} %{http_code}")
    post = ("--data-binary", "@-", "-H", f"content-type: {kind}") if kind else ()
    ran = subprocess.run(
        ["curl", "-sS", *SECURITY, VERSIONS[version], *told, *post, *flags, f"{URL}/{path}"],
        input=body,
        capture_output=True,
        timeout=BOUND,
    )
    said = (ran.returncode, ran.stderr.decode())
    assert said == (0, f"HTTP/{version} {status}"), f"curl {path}: {said}"
    return ran.stdout


def enveloped(message):
    """Returns the envelope of a message: bytes, or a value that becomes JSON."""
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    return b"\0" + len(body).to_bytes(4) + body


def raw_envelopes(body):
    """Returns the flags and the bytes of each envelope."""
    found = []
    while body:
        end = 5 + int.from_bytes(body[1:5])
        found.append((body[0], body[5:end]))
        body = body[end:]
    return found


def envelopes(body):
    """Returns the flags and the JSON of each envelope."""
    return [(flags, json.loads(message)) for flags, message in raw_envelopes(body)]


if __name__ == "__main__":
    run_tests()
