"""grpcurl without .proto files: it learns about the services by reflection."""

import json
import os
import re
import subprocess
import unittest

from grpcurl_calls import CALLS, ENDLESS, UNIMPLEMENTED
from grpcurl_output import json_values
from harness import BOUND, arguments, foreign, project, run_tests
from services import SERVICES

args = arguments(addr="HOST:PORT of the server")

#: grpcurl's exit code is the sum of this number and the status code.
STATUS = 64
DEADLINE_EXCEEDED = 4
NOT_IMPLEMENTED = 12


class Reflected(unittest.TestCase):
    def test_list_shows_every_service_and_no_other(self):
        self.assertEqual(grpcurl("list").splitlines(), sorted(SERVICES))

    def test_every_method_is_called_below(self):
        methods = [method for service in SERVICES for method in listed(service)]
        self.assertEqual(sorted(methods), sorted(CALLS))

    def test_describe_shows_messages_with_their_comments(self):
        text = grpcurl("describe", "greet.DelayedReply")
        self.assertIn("greet.DelayedReply is a message", text)
        self.assertIn("repeated .greet.HelloRequest request = 2;", text)
        self.assertIn("// The requests, in the order they came.", text)


def described(service):
    def test(self):
        text = grpcurl("describe", service)
        self.assertIn(f"{service} is a service", text)
        comments = comments_of(service)
        self.assertNotEqual(comments, [])
        for comment in comments:
            self.assertIn(comment, text)

    return test


def called(method):
    def test(self):
        requests, replies = CALLS[method]
        data = ["-d", "".join(map(json.dumps, requests))]
        if method in ENDLESS:
            text = grpcurl(*data, "-max-time", "1", method, code=STATUS + DEADLINE_EXCEEDED)
        elif method in UNIMPLEMENTED:
            text = grpcurl(*data, method, code=STATUS + NOT_IMPLEMENTED)
        else:
            text = grpcurl(*data, method)
        self.assertEqual(list(json_values(text)), replies)

    return test


for each in SERVICES:
    setattr(Reflected, f"test_describe_{each}", described(each))
for each in CALLS:
    setattr(Reflected, f"test_call_{each}", called(each))


AUTHORITY = os.environ.get("FOREIGN_TLS_CA")
SECURITY = ("-cacert", AUTHORITY) if AUTHORITY else ("-plaintext",)


def grpcurl(*words, code=0):
    """Runs grpcurl and returns its output. Flags precede the address; the verb or method follows it."""
    flags = () if words[0] in ("list", "describe") else words[:-1]
    verb = words[len(flags) :]
    ran = subprocess.run(
        [foreign / "bin/grpcurl", *SECURITY, *flags, args.addr, *verb],
        capture_output=True,
        text=True,
        timeout=BOUND,
    )
    assert ran.returncode == code, f"grpcurl {words}: exit {ran.returncode}\n{ran.stderr}"
    return ran.stdout


def listed(service):
    """Returns the methods of a service as SERVICE/METHOD."""
    return ["/".join(name.rsplit(".", 1)) for name in grpcurl("list", service).splitlines()]


def comments_of(service):
    """Returns the comments within a service in its .proto file."""
    package, _, name = service.rpartition(".")
    for path in (project / "proto").rglob("*.proto"):
        text = path.read_text()
        found = re.search(r"^package (.+);$", text, re.M)
        if (found[1] if found else "") != package:
            continue
        if body := re.search(rf"^service {name} {{$(.+?)^}}$", text, re.M | re.S):
            return re.findall(r"//.+", body[1])
    return []


if __name__ == "__main__":
    run_tests()
