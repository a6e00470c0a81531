"""The kubelet's prober and `greeter health`, side by side: they must agree on a server's health."""

import socket
import subprocess
import unittest

from harness import BOUND, arguments, foreign, run_tests
from server import Server, environment, program
from services import SERVICES

args = arguments(file="the built file", addr="HOST:PORT of a server that serves")

# The exit codes of kubelet_probe ...
SUCCESS, FAILURE = 0, 1
# ... and those of grpc-health-probe, which are also ours.
SERVING, BAD_ARGUMENTS, NO_CONNECTION, FAILED_CALL, NOT_SERVING = range(5)


class HealthCase(unittest.TestCase):
    address = None

    def assert_serving(self, *services):
        self.assert_exits(services, kubelet=SUCCESS, health=SERVING)

    def assert_not_serving(self, *services):
        self.assert_exits(services, kubelet=FAILURE, health=NOT_SERVING)

    def assert_exits(self, services, kubelet, health):
        for service in services:
            with self.subTest(service=service):
                flags = ["-addr", self.address, "-service", service]
                exits = (probe(self.address, service), greeter_health(*flags))
                self.assertEqual(exits, (kubelet, health))


class ServerThatServes(HealthCase):
    address = args.addr

    def test_the_server_as_a_whole_serves(self):
        self.assert_serving("")

    def test_every_service_serves(self):
        self.assert_serving(*SERVICES)

    def test_liveness_and_readiness_serve(self):
        self.assert_serving("liveness", "readiness")

    def test_an_unknown_name_is_not_found(self):
        self.assert_exits(["missing"], kubelet=FAILURE, health=FAILED_CALL)


class ServerThatLeaves(HealthCase):
    """Its delay never ends here, so that no test has to hurry."""

    @classmethod
    def setUpClass(cls):
        server = Server(args.file, "--leave-delay", "1h")
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


class ServerThatHasLeft(HealthCase):
    def test_it_exits_0_by_itself_after_its_delay(self):
        server = Server(args.file, "--leave-delay", "2s")
        self.addCleanup(server.kill)
        self.address = server.address
        server.terminate()
        self.assert_serving("liveness")
        self.assertEqual(server.exit_code(), 0)
        self.assert_exits([""], kubelet=FAILURE, health=NO_CONNECTION)


class HealthCommand(unittest.TestCase):
    """What grpc-health-probe answers where there is nobody to ask."""

    def test_no_address_is_a_bad_argument(self):
        self.assertEqual(greeter_health(), BAD_ARGUMENTS)

    def test_an_unknown_flag_is_a_bad_argument(self):
        self.assertEqual(greeter_health(f"-addr={args.addr}", "-missing"), BAD_ARGUMENTS)

    def test_a_wrong_duration_is_a_bad_argument(self):
        self.assertEqual(greeter_health(f"-addr={args.addr}", "-rpc-timeout=1"), BAD_ARGUMENTS)

    def test_a_closed_port_is_no_connection(self):
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            self.assertEqual(greeter_health(f"-addr={address_of(closed)}"), NO_CONNECTION)

    def test_a_silent_server_is_no_connection(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            flags = [f"--addr={address_of(silent)}", "--connect-timeout=500ms"]
            self.assertEqual(greeter_health(*flags), NO_CONNECTION)


def probe(address, service):
    host, _, port = address.rpartition(":")
    return exit_code(
        [foreign / "bin/kubelet_probe", "-host", host, "-port", port, "-service", service]
    )


def greeter_health(*flags):
    return exit_code([*program(args.file), "health", *flags])


def exit_code(command):
    ran = subprocess.run(command, capture_output=True, timeout=BOUND, env=environment())
    return ran.returncode


def address_of(listener):
    host, port = listener.getsockname()
    return f"{host}:{port}"


if __name__ == "__main__":
    run_tests()
