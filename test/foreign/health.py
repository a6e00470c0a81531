"""The kubelet's prober, grpc-health-probe and `greeter health` must agree on a server's health."""

import socket
import unittest

from harness import arguments, run_tests
from probes import (
    BAD_ARGUMENTS,
    FAILED_CALL,
    FAILURE,
    NO_CONNECTION,
    NOT_SERVING,
    SERVING,
    SUCCESS,
    greeter,
    kubelet,
    original,
)
from server import Server
from services import SERVICES

args = arguments(file="the built file", addr="HOST:PORT of a server that serves")


class HealthCase(unittest.TestCase):
    address = None

    def assert_serving(self, *services):
        self.assert_exits(services, probe=SUCCESS, health=SERVING)

    def assert_not_serving(self, *services):
        self.assert_exits(services, probe=FAILURE, health=NOT_SERVING)

    def assert_exits(self, services, probe, health):
        for service in services:
            with self.subTest(service=service):
                exit_code = kubelet(self.address, service).returncode
                self.assertEqual(exit_code, probe)
                flags = ["-addr", self.address, "-service", service]
                # One second, the default, may pass before a program runs on a busy machine.
                if health != NO_CONNECTION:
                    flags += ["-connect-timeout", "10s", "-rpc-timeout", "10s"]
                exit_codes = health_codes(*flags)
                self.assertEqual(exit_codes, [health, health])


class ServerThatServes(HealthCase):
    address = args.addr

    def test_the_server_as_a_whole_serves(self):
        self.assert_serving("")

    def test_every_service_serves(self):
        self.assert_serving(*SERVICES)

    def test_liveness_and_readiness_serve(self):
        self.assert_serving("liveness", "readiness")

    def test_the_flags_of_manifests_change_nothing(self):
        flags = ["-addr", self.address, "-gzip", "-v", "-rpc-header", "x-team: blue"]
        flags += ["-connect-timeout", "10s"]
        self.assertEqual(health_codes(*flags), [SERVING, SERVING])

    def test_an_unknown_name_is_not_found(self):
        self.assert_exits(["missing"], probe=FAILURE, health=FAILED_CALL)


class ServerThatShutsDown(HealthCase):
    """A server during its shutdown delay, which is longer than the tests."""

    @classmethod
    def setUpClass(cls):
        server = Server(args.file, "--shutdown-delay", "1h")
        cls.addClassCleanup(server.kill)
        server.terminate()
        cls.address = server.address

    def test_the_server_as_a_whole_does_not_serve(self):
        self.assert_not_serving("")

    def test_no_service_serves(self):
        self.assert_not_serving(*SERVICES)

    def test_readiness_does_not_serve(self):
        self.assert_not_serving("readiness")

    def test_liveness_serves(self):
        self.assert_serving("liveness")


class ServerThatHasShutDown(HealthCase):
    def test_it_exits_0_by_itself_after_its_delay(self):
        server = Server(args.file, "--shutdown-delay", "6s")
        self.addCleanup(server.kill)
        self.address = server.address
        server.terminate()
        self.assert_serving("liveness")
        self.assertEqual(server.exit_code(), 0)
        self.assert_exits([""], probe=FAILURE, health=NO_CONNECTION)


class NoResponse(unittest.TestCase):
    """The exit codes of both programs if there is no response."""

    def test_no_address_is_a_bad_argument(self):
        self.assert_exits(BAD_ARGUMENTS)

    def test_an_unknown_flag_is_a_bad_argument(self):
        self.assert_exits(BAD_ARGUMENTS, f"-addr={args.addr}", "-missing")

    def test_a_wrong_duration_is_a_bad_argument(self):
        self.assert_exits(BAD_ARGUMENTS, f"-addr={args.addr}", "-rpc-timeout=1")

    def test_a_closed_port_is_no_connection(self):
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            self.assert_exits(NO_CONNECTION, f"-addr={address_of(closed)}")

    def test_a_silent_server_is_no_connection(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            flags = [f"--addr={address_of(silent)}", "--connect-timeout=500ms"]
            self.assert_exits(NO_CONNECTION, *flags)

    def assert_exits(self, code, *flags):
        self.assertEqual(health_codes(*flags), [code, code])


def health_codes(*flags):
    """Returns the exit codes of grpc-health-probe and of `greeter health`."""
    return [ran.returncode for ran in (original(*flags), greeter(args.file, *flags))]


def address_of(listener):
    host, port = listener.getsockname()
    return f"{host}:{port}"


if __name__ == "__main__":
    run_tests()
