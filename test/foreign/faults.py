"""Faults as grpcio sees them: the status of each, and retries that succeed on the attempt that was promised."""

import json
import os
import re
import shlex
import subprocess
import unittest

import grpc
from harness import BOUND, arguments, channel_to, foreign, project, run_tests
from stubs import stubs

greet_pb2, greet_pb2_grpc = stubs("greet")
helloworld_pb2, helloworld_pb2_grpc = stubs("helloworld")
args = arguments(addr="HOST:PORT of the server")
IS_OURS = os.environ.get("GREETER_ENGINE") != "grpc-js"
Code = grpc.StatusCode

RETRIES = {
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.01s",
                "maxBackoff": "0.1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}

#: The status that a call ends with, by the fault that it asks for.
STATUSES = {
    "status=ABORTED": Code.ABORTED,
    "delay=1m": Code.DEADLINE_EXCEEDED,
}
STATUSES_OF_OURS = {
    "hang": Code.DEADLINE_EXCEEDED,
    "reset=CANCEL": Code.CANCELLED,
    "reset=ENHANCE_YOUR_CALM": Code.RESOURCE_EXHAUSTED,
    "reset=INTERNAL_ERROR": Code.INTERNAL,
    "refuse": Code.UNAVAILABLE,
    "drop": Code.UNAVAILABLE,
    "http=503": Code.UNAVAILABLE,
    "http=404": Code.UNIMPLEMENTED,
    # The client may notice the missing status first.
    "truncate": (Code.INTERNAL, Code.UNKNOWN),
    "garbage": Code.INTERNAL,
    "no-status": Code.UNKNOWN,
    "corrupt-compression": Code.INTERNAL,
    "big=5MiB": Code.RESOURCE_EXHAUSTED,
}


class Faults(unittest.TestCase):
    def setUp(self):
        self.stub = self.stub_on()

    def stub_on(self, config=None):
        options = () if config is None else (("grpc.service_config", json.dumps(config)),)
        channel = channel_to(args.addr, options)
        self.addCleanup(channel.close)
        return greet_pb2_grpc.GreeterStub(channel)

    def test_every_fault_has_its_status_for_calls_of_each_kind(self):
        faults = STATUSES | (STATUSES_OF_OURS if IS_OURS else {})
        for fault, code in faults.items():
            for kind in (unary, server_stream, client_stream, bidi):
                with self.subTest(fault=fault, kind=kind.__name__):
                    timeout = 0.5 if code is Code.DEADLINE_EXCEEDED else BOUND
                    with self.assertRaises(grpc.RpcError) as raised:
                        kind(self.stub, asking(fault), timeout)
                    self.assertIn(raised.exception.code(), code if isinstance(code, tuple) else (code,))

    def test_other_faults_are_unimplemented_on_grpc_js(self):
        if IS_OURS:
            unary(self.stub, asking("goaway"))
            return
        with self.assertRaises(grpc.RpcError) as raised:
            unary(self.stub, asking("goaway"))
        self.assertEqual(raised.exception.code(), Code.UNIMPLEMENTED)

    def test_a_fault_after_two_messages_ends_a_stream_there(self):
        for fault in ("status=UNAVAILABLE;after=2", *(["reset=REFUSED_STREAM;after=2"] if IS_OURS else [])):
            seen = []
            with self.assertRaises(grpc.RpcError) as raised:
                for reply in self.stub.ParrotSayHello(request(), metadata=asking(fault), timeout=BOUND):
                    seen.append(reply.message)
            self.assertEqual(len(seen), 2)
            self.assertEqual(raised.exception.code(), Code.UNAVAILABLE)

    def test_retries_succeed_on_the_attempt_that_was_promised(self):
        stub = self.stub_on(RETRIES)
        ours = ("refuse;attempts=1", "drop;attempts=1", "http=503;attempts=1") if IS_OURS else ()
        for fault in ("status=UNAVAILABLE;attempts=2", "status=UNAVAILABLE;attempts=3;pushback=20ms", *ours):
            for kind in (unary, client_stream):
                kind(stub, asking(fault))
        with self.assertRaises(grpc.RpcError) as raised:
            unary(stub, asking("status=UNAVAILABLE;attempts=4"))
        self.assertEqual(raised.exception.code(), Code.UNAVAILABLE)

    def test_retries_by_rpc_behavior(self):
        stub = self.stub_on(RETRIES)
        steps = "succeed-on-retry-attempt-2,error-code-14"
        unary(stub, [("rpc-behavior", steps)])
        with self.assertRaises(grpc.RpcError) as raised:
            unary(self.stub, [("rpc-behavior", steps)])
        self.assertEqual(raised.exception.code(), Code.UNAVAILABLE)

    def test_headers_of_envoy(self):
        with self.assertRaises(grpc.RpcError) as raised:
            unary(self.stub, [("x-envoy-fault-abort-grpc-request", "10")])
        self.assertEqual(raised.exception.code(), Code.ABORTED)
        unary(self.stub, [("x-envoy-fault-abort-grpc-request", "10"), ("x-envoy-fault-abort-request-percentage", "0")])

    def test_a_response_lists_the_faults_and_names_the_server(self):
        call = self.stub.SayHello.with_call(request(), metadata=asking("delay=1ms"), timeout=BOUND)[1]
        self.assertEqual(dict(call.trailing_metadata())["x-greeter-fault-injected"], "delay")
        self.assertTrue(dict(call.initial_metadata())["x-greeter-host"])

    def test_a_wrong_fault_is_named(self):
        with self.assertRaises(grpc.RpcError) as raised:
            unary(self.stub, asking("delay=1ms,oops"))
        self.assertEqual(raised.exception.code(), Code.INVALID_ARGUMENT)
        self.assertIn('entry 2, "oops"', raised.exception.details())


class Page(unittest.TestCase):
    """The commands of docs/faults.md, which dial a server without TLS."""

    page = (project / "docs/faults.md").read_text()

    def setUp(self):
        self.assertIn("localhost:50051", args.addr)
        self.is_plain = "FOREIGN_TLS_CA" not in os.environ

    def test_commands_print_what_the_page_says(self):
        ((command, printed),) = re.findall(r"```console\n\$ (.+)\n((?:.+\n)*?)```", self.page)
        if self.is_plain:
            self.assertEqual(self.run_line(command).stderr, printed)

    def test_commands_that_print_nothing_succeed(self):
        (block,) = re.findall(r"```sh\n(.+?)```", self.page, re.DOTALL)
        for line in block.splitlines() if self.is_plain else ():
            self.assertEqual(self.run_line(line).returncode, 0, line)

    def test_the_example_in_python_succeeds(self):
        (block,) = re.findall(r"```python\n(.+?)```", self.page, re.DOTALL)
        if not self.is_plain:
            return
        names = {"grpc": grpc, "json": json, "helloworld_pb2_grpc": helloworld_pb2_grpc}
        names["request"] = helloworld_pb2.HelloRequest(name="you")
        exec(block, names)
        self.addCleanup(names["channel"].close)

    def run_line(self, line):
        program, *rest = shlex.split(line)
        self.assertEqual(program, "grpcurl")
        return subprocess.run([foreign / "bin/grpcurl", *rest], capture_output=True, text=True, timeout=BOUND)


def asking(fault):
    return [("x-greeter-fault", fault)]


def request():
    return greet_pb2.HelloRequest(name="Keys", greeting="Bello")


def unary(stub, metadata, timeout=BOUND):
    return stub.SayHello(request(), metadata=metadata, timeout=timeout)


def server_stream(stub, metadata, timeout=BOUND):
    return list(stub.ParrotSayHello(request(), metadata=metadata, timeout=timeout))


def client_stream(stub, metadata, timeout=BOUND):
    return stub.ChattyClientSayHello(iter([request()]), metadata=metadata, timeout=timeout)


def bidi(stub, metadata, timeout=BOUND):
    return list(stub.InteractiveSayHello(iter([request()]), metadata=metadata, timeout=timeout))


if __name__ == "__main__":
    run_tests()
