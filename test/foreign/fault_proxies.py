"""
Provokes what Envoy and nginx do about failing servers, with the configuration and the faults of docs/fault_recipes.md.
Envoy's statistics and nginx's access log show it. Retries of the client are off.
"""

import json
import re
import shlex
import subprocess
import textwrap
import time
import unittest
import urllib.request

import grpc
from harness import BOUND, arguments, channel_to, foreign, project, run_tests
from rate.proxies import ENVOY, NGINX, Proxy, free_port
from server import Server
from stubs import stubs

pb2, pb2_grpc = stubs("helloworld")
args = arguments(file="the built file")
page = (project / "docs/fault_recipes.md").read_text()
FOLDER = project / "test/foreign/fault_proxies"
OK, UNAVAILABLE = grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE


def section(heading):
    """Returns the page's text under a heading, up to the next one."""
    return re.search(rf"^##+ {heading}\n(.*?)(?=^##|\Z)", page, re.M | re.S)[1]


def block(heading, language):
    return re.search(rf"^```{language}\n(.*?)^```$", section(heading), re.M | re.S)[1]


def fault(heading):
    """Returns the fault of the first command under a heading."""
    return re.search(r"-H 'x-greeter-fault: (.+?)'", block(heading, "sh"))[1]


class Called(Proxy):
    """A proxy with a client."""

    def __init__(self, template, command, **words):
        super().__init__(FOLDER / template, command, **words)
        self.channel = channel_to(self.address, [("grpc.enable_retries", 0)])
        self.stub = pb2_grpc.GreeterStub(self.channel)

    def __exit__(self, *_):
        self.channel.close()
        super().__exit__()

    def start(self, fault=None):
        metadata = [("x-greeter-fault", fault)] if fault else []
        return self.stub.SayHello.future(pb2.HelloRequest(name="you"), metadata=metadata, timeout=BOUND)

    def calls(self, count, fault=None):
        """Makes calls one after the other, and returns their statuses."""
        return [self.start(fault).code() for _ in range(count)]


class Envoy(Called):
    def __init__(self, *servers, route="", cluster=""):
        self.admin = free_port()
        endpoints = [
            {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": server.port}}}}
            for server in servers
        ]
        words = {"route": nested(route, 28), "cluster": nested(cluster, 6), "endpoints": json.dumps(endpoints)}
        super().__init__("envoy.yaml", ENVOY, admin=self.admin, **words)

    def statistics(self):
        """Returns those counters and gauges of the cluster that were ever changed."""
        url = f"http://127.0.0.1:{self.admin}/stats?format=json&usedonly"
        with urllib.request.urlopen(url, timeout=BOUND) as response:
            stats = json.load(response)["stats"]
        prefix = "cluster.greeter."
        return {each["name"].removeprefix(prefix): each["value"] for each in stats if "value" in each}


class Nginx(Called):
    def __init__(self, first, second):
        super().__init__("nginx.conf", NGINX, first=first, second=second)

    def configuration(self, template, words):
        recipe = block("nginx", "nginx")
        recipe = recipe.replace("10.0.0.1:50051", words["first"]).replace("10.0.0.2:50051", words["second"])
        recipe = recipe.replace("listen 10000", f"listen 127.0.0.1:{words['port']}")
        recipe = recipe.replace("/var/log/nginx", str(words["folder"]))
        return super().configuration(template, words | {"recipe": recipe})


def nested(text, columns):
    """Returns YAML as further lines of a map at these columns."""
    return "\n" + textwrap.indent(text, " " * columns)


def until(read, is_it):
    """Reads a value until it is the right one, or the time is over; returns it."""
    end = time.monotonic() + BOUND
    while not is_it(value := read()) and time.monotonic() < end:
        time.sleep(0.01)
    return value


class Servers(unittest.TestCase):
    """Two servers. Both get the same metadata, but only one injects faults."""

    @classmethod
    def setUpClass(cls):
        cls.faulty = Server(args.file)
        cls.addClassCleanup(cls.faulty.kill)
        cls.sound = Server(args.file, "--faults", "off")
        cls.addClassCleanup(cls.sound.kill)


class BehindEnvoy(Servers):
    def assert_shows(self, envoy, **expected):
        """Waits until the statistics have these values. Two underscores are a dot."""

        def shown():
            statistics = envoy.statistics()
            return {name: statistics.get(name.replace("__", "."), 0) for name in expected}

        self.assertEqual(until(shown, expected.__eq__), expected)

    def test_a_retry_succeeds(self):
        recipe = "Retries"
        with Envoy(self.faulty, route=block(recipe, "yaml")) as envoy:
            self.assertEqual(envoy.calls(1, fault(recipe)), [OK])
            self.assert_shows(envoy, upstream_rq_total=1, upstream_rq_retry=0)
            for _ in range(2):
                call = envoy.start(fault(recipe))
                self.assertEqual(call.code(), OK)
                self.assertEqual(dict(call.initial_metadata())["x-envoy-attempt-count"], "2")
            self.assert_shows(envoy, upstream_rq_total=5, upstream_rq_retry=2, upstream_rq_retry_success=2)

    def test_other_faults_are_retried(self):
        for other in ("refuse", "drop", "reset=INTERNAL_ERROR", "http=503"):
            with self.subTest(fault=other), Envoy(self.faulty, route=block("Retries", "yaml")) as envoy:
                self.assertEqual(envoy.calls(2, f"{other};nth=2"), [OK, OK])
                self.assert_shows(envoy, upstream_rq_total=3, upstream_rq_retry=1, upstream_rq_retry_success=1)

    def test_attempts_of_envoy_are_counted(self):
        with Envoy(self.faulty, route=block("Retries", "yaml")) as envoy:
            self.assertEqual(envoy.calls(2, "status=UNAVAILABLE;attempts=2"), [OK, OK])
            self.assertEqual(envoy.calls(1, "status=UNAVAILABLE;attempts=3"), [UNAVAILABLE])
            self.assert_shows(envoy, upstream_rq_total=9, upstream_rq_retry=6, upstream_rq_retry_success=2)

    def test_all_attempts_fail(self):
        with Envoy(self.faulty, route=block("Retries", "yaml")) as envoy:
            self.assertEqual(envoy.calls(1, "status=UNAVAILABLE"), [UNAVAILABLE])
            self.assert_shows(envoy, upstream_rq_total=3, upstream_rq_retry=2, upstream_rq_retry_limit_exceeded=1)

    def test_a_response_that_has_begun_is_not_retried(self):
        with Envoy(self.faulty, route=block("Retries", "yaml")) as envoy:
            self.assertEqual(envoy.calls(1, "status=UNAVAILABLE;after=1"), [UNAVAILABLE])
            self.assert_shows(envoy, upstream_rq_total=1, upstream_rq_retry=0)

    def test_an_attempt_times_out(self):
        recipe = "A timeout for each attempt"
        for slow in (fault(recipe), fault(recipe).replace("hang", "delay=1s")):
            with self.subTest(fault=slow), Envoy(self.faulty, route=block(recipe, "yaml")) as envoy:
                self.assertEqual(envoy.calls(2, slow), [OK, OK])
                self.assert_shows(envoy, upstream_rq_per_try_timeout=1, upstream_rq_retry_success=1)

    def test_a_call_times_out(self):
        recipe = "A timeout for the call"
        server = Server(args.file)
        self.addCleanup(server.kill)
        with Envoy(server, route=block(recipe, "yaml")) as envoy:
            call = envoy.start(fault(recipe))

            self.assertEqual((call.code(), call.details()), (UNAVAILABLE, "upstream request timeout"))
            self.assert_shows(envoy, upstream_rq_timeout=1)
            server.wait_for(**{"msg": "call ended", "rpc.status_code": "CANCELLED"})

    def assert_ejects(self, envoy, fault=None):
        # The servers take turns. Which one is first is random.
        codes = envoy.calls(10, fault)
        self.assertEqual(codes.count(UNAVAILABLE), 3)
        self.assertEqual(codes[-4:], [OK] * 4)
        self.assert_shows(
            envoy,
            outlier_detection__ejections_active=1,
            outlier_detection__ejections_enforced_consecutive_5xx=1,
            membership_healthy=1,
        )

    def test_outlier_detection_ejects_a_bad_server(self):
        recipe = "Outlier detection"
        bad = Server(args.file, *re.search(r"(--faults) '(.+?)'", section(recipe)).groups())
        self.addCleanup(bad.kill)
        with Envoy(bad, self.sound, cluster=block(recipe, "yaml")) as envoy:
            self.assert_ejects(envoy)

    def test_outlier_detection_counts_other_faults(self):
        for other in ("status=UNAVAILABLE", "refuse", "reset=INTERNAL_ERROR", "drop", "http=503"):
            cluster = block("Outlier detection", "yaml")
            with self.subTest(fault=other), Envoy(self.faulty, self.sound, cluster=cluster) as envoy:
                self.assert_ejects(envoy, other)

    def test_outlier_detection_ejects_none_of_two_servers_by_default(self):
        cluster = re.sub(r"\n *max_ejection_percent.*", "", block("Outlier detection", "yaml"))
        with Envoy(self.faulty, self.sound, cluster=cluster) as envoy:
            self.assertEqual(envoy.calls(10, "status=UNAVAILABLE").count(UNAVAILABLE), 5)
            self.assertGreater(envoy.statistics()["outlier_detection.ejections_overflow"], 0)
            self.assert_shows(envoy, outlier_detection__ejections_active=0)

    def test_the_circuit_breaker_opens_and_closes(self):
        recipe = "Circuit breaker"
        with Envoy(self.faulty, cluster=block(recipe, "yaml")) as envoy:
            hanging = envoy.start(fault(recipe))
            self.assert_shows(envoy, upstream_rq_active=1, circuit_breakers__default__rq_open=1)
            refused = envoy.start()

            self.assertEqual(refused.code(), UNAVAILABLE)
            self.assertIn("reset reason: overflow", refused.details())
            self.assertEqual(dict(refused.trailing_metadata())["x-envoy-overloaded"], "true")
            self.assert_shows(envoy, upstream_rq_active_overflow=1)
            hanging.cancel()
            self.assert_shows(envoy, upstream_rq_active=0, circuit_breakers__default__rq_open=0)
            self.assertEqual(envoy.calls(1), [OK])

    def test_connections_that_end(self):
        rows = re.findall(r"^\| `(\S+)` +\| `(\S+)` +\|$", section("Connections that end"), re.M)
        self.assertEqual(len(rows), 3)
        for other, statistic in rows:
            with self.subTest(fault=other), Envoy(self.faulty) as envoy:
                self.assertEqual(envoy.calls(1, other), [OK if other == "goaway" else UNAVAILABLE])
                self.assert_shows(envoy, **{statistic: 1})


class BehindNginx(Servers):
    def assert_logged(self, nginx, *expected):
        """Waits until nginx has logged these calls, and no others."""
        log = nginx.folder / "upstreams.log"
        self.assertEqual(until(lambda: log.read_text().splitlines(), lambda lines: lines == [*expected]), [*expected])

    def test_a_server_that_fails_is_avoided(self):
        faults = {"refuse": 502, "drop": 502, "reset=INTERNAL_ERROR": 502, "hang": 504, "delay=10s": 504}
        for each, status in faults.items():
            with self.subTest(fault=each), Nginx(self.faulty.address, self.sound.address) as nginx:
                self.assertEqual(nginx.calls(4, each), [UNAVAILABLE, OK, OK, OK])
                self.assert_logged(
                    nginx,
                    f"{self.faulty.address} {status} {status}",
                    *[f"{self.sound.address} 200 200"] * 3,
                )

    def test_a_response_that_reports_a_failure_is_passed_on(self):
        for each, status in {"http=503": 503, "status=UNAVAILABLE": 200}.items():
            with self.subTest(fault=each), Nginx(self.faulty.address, self.sound.address) as nginx:
                self.assertEqual(nginx.calls(4, each), [UNAVAILABLE, OK] * 2)
                self.assert_logged(
                    nginx,
                    *[f"{self.faulty.address} {status} {status}", f"{self.sound.address} 200 200"] * 2,
                )

    def test_a_call_is_passed_to_the_next_server_if_one_is_not_running(self):
        stopped = f"127.0.0.1:{free_port()}"
        with Nginx(stopped, self.sound.address) as nginx:
            self.assertEqual(nginx.calls(2), [OK, OK])
            self.assert_logged(
                nginx,
                f"{stopped}, {self.sound.address} 502, 200 200",
                f"{self.sound.address} 200 200",
            )


class Commands(unittest.TestCase):
    """The commands of the page, without a proxy."""

    def test_the_server_accepts_every_command(self):
        server = Server(args.file)
        self.addCleanup(server.kill)
        commands = re.findall(r"^grpcurl (.+?) [\w.]+:\d+ (\S+)", page, re.M)
        self.assertGreater(len(commands), 8)
        # At once, because some of them hang until the deadline.
        running = [
            (flags, grpcurl("-max-time", "0.5", *shlex.split(flags), server.address, method))
            for flags, method in commands
        ]
        for flags, each in running:
            with self.subTest(flags=flags), each:
                output, _ = each.communicate(timeout=BOUND)
                ended = re.search(r"Code: (\w+)|Hello", output)
                self.assertIsNotNone(ended, output)
                self.assertIn(ended[1], (None, "Unavailable", "DeadlineExceeded"))


def grpcurl(*flags):
    command = [foreign / "bin/grpcurl", *flags]
    return subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


if __name__ == "__main__":
    run_tests()
