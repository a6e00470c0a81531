"""grpc-health-probe and `greeter health` with the same arguments: exit codes and output."""

import re
import subprocess
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor

from harness import arguments, project, run_tests
from probes import (
    BAD_ARGUMENTS,
    FAILED_CALL,
    NO_CONNECTION,
    SERVING,
    greeter,
    original,
)
from server import Server

args = arguments(file="the built file")

#: An address where no server listens.
NOBODY = "127.0.0.1:1"


#: Folders with cert.pem, a self-signed certificate for localhost, and key.pem.
good = other = None


def setUpModule():
    global good, other
    good, other = (new_folder(unittest.addModuleCleanup) for _ in range(2))
    for folder in (good, other):
        subprocess.run(["node", project / "test/support/certificate.ts", folder], check=True)


class ProbeCase(unittest.TestCase):
    """A case is a line of arguments, and the exit code that both programs must have for it."""

    def assert_exits(self, cases, before=(), **settings):
        lines = [[*before, *line.split()] for line in cases]
        with ThreadPoolExecutor(2) as pool:
            pairs = list(pool.map(lambda flags: run_both(*flags, **settings), lines))
        for line, pair in zip(cases, pairs, strict=True):
            with self.subTest(line=line):
                said = [ran.stdout + ran.stderr for ran in pair]
                self.assertEqual([ran.returncode for ran in pair], [cases[line]] * 2, said)


class Plaintext(ProbeCase):
    @classmethod
    def setUpClass(cls):
        cls.socket = f"{new_folder(cls.addClassCleanup)}/server.sock"
        cls.server = Server(
            args.file, "--listen", f"127.0.0.1:0,unix:{cls.socket}", "--log-level", "debug"
        )
        cls.addClassCleanup(cls.server.kill)

    def test_addresses(self):
        port = self.server.port
        cases = {
            f"-addr {self.server.address}": SERVING,
            f"-addr localhost:{port}": SERVING,
            f"-addr :{port}": SERVING,
            f"-addr dns:///localhost:{port}": SERVING,
            f"-addr unix:{self.socket}": SERVING,
            f"-addr unix://{self.socket}": SERVING,
            f"-addr unix:{self.socket}.none -connect-timeout 300ms": NO_CONNECTION,
            "-addr a:b:c -connect-timeout 300ms": NO_CONNECTION,
            "-addr missing.invalid:1 -connect-timeout 300ms": NO_CONNECTION,
        }
        self.assert_exits(cases)

    def test_flags_as_go_reads_them(self):
        cases = {
            "": SERVING,
            "--gzip=true -v=T -tls=0": SERVING,
            "-tls -tls=false": SERVING,
            "-service=missing": FAILED_CALL,
            "-service missing -service=": SERVING,
            "-- -missing": SERVING,
            "false -missing": SERVING,
            "-rpc-timeout 90s -connect-timeout 1000000h": SERVING,
            "-rpc-timeout .5s -connect-timeout +1h1.5m1000ms1us1ns": SERVING,
            "-tls-ca-cert= -tls-client-cert= -tls-client-key= -tls-server-name=": SERVING,
            "-alts=false -spiffe=0": SERVING,
        }
        self.assert_exits(cases, before=["-addr", self.server.address])

    def test_metadata(self):
        cases = {
            "-rpc-header x-team:blue -rpc-header X-Team:green": SERVING,
            "-rpc-header empty: -rpc-header x-bin:raw": SERVING,
            "-rpc-header te:no -rpc-header grpc-timeout:no -rpc-header grpc-encoding:no": SERVING,
            "-rpc-header content-type:text/plain -rpc-header user-agent:none": SERVING,
            "-rpc-header :path:/nowhere": FAILED_CALL,
            "-rpc-header x/y:z": FAILED_CALL,
            "-rpc-header x:\u00e4": FAILED_CALL,
        }
        self.assert_exits(cases, before=["-addr", self.server.address])

    def test_metadata_and_a_compressed_request_arrive(self):
        for name, run in programs.items():
            with self.subTest(program=name):
                header = f"x-request-id:  {name}"
                ran = run("-addr", self.server.address, "-gzip", "-rpc-header", header)
                self.assertEqual(ran.returncode, SERVING, ran.stderr)
                self.server.wait_for(**{"request_id": name, "rpc.status_code": "OK"})

    def test_the_status_is_printed(self):
        for ran in run_both("-addr", self.server.address):
            self.assertEqual(ran.stdout + ran.stderr, "status: SERVING\n")

    def test_verbose_output_is_the_same(self):
        flags = ["-rpc-header", "authorization:secret", "-connect-timeout", "90s", "-v"]
        theirs, ours = run_both("-addr", self.server.address, *flags)
        self.assertEqual(without_times(ours), without_times(theirs))
        self.assertNotIn("secret", ours.stderr)

    def test_a_proxy_is_not_used_for_localhost(self):
        proxies = {"http_proxy": f"http://{NOBODY}", "https_proxy": f"http://{NOBODY}"}
        self.assert_exits({f"-addr localhost:{self.server.port}": SERVING}, **proxies)


class Tls(ProbeCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(args.file, *tls_flags(good))
        cls.addClassCleanup(cls.server.kill)

    def test_server_certificates(self):
        port, trust = self.server.port, f"-tls -tls-ca-cert {good}/cert.pem"
        cases = {
            f"-addr localhost:{port} {trust}": SERVING,
            f"-addr 127.0.0.1:{port} {trust} -gzip -v": SERVING,
            f"-addr :{port} {trust} -service readiness": SERVING,
            f"-addr :{port} {trust} -service missing": FAILED_CALL,
            f"-addr 127.0.0.1:{port} {trust} -tls-server-name localhost": SERVING,
            f"-addr :{port} {trust} -tls-server-name other -connect-timeout 300ms": NO_CONNECTION,
            f"-addr :{port} -tls -connect-timeout 300ms": NO_CONNECTION,
            f"-addr :{port} -connect-timeout 300ms": NO_CONNECTION,
            f"-addr :{port} -tls -tls-no-verify": SERVING,
            f"-addr :{port} -tls -tls-ca-cert {other}/cert.pem -connect-timeout 300ms": NO_CONNECTION,
        }
        self.assert_exits(cases)

    def test_the_system_certificate_authorities(self):
        cases = {f"-addr localhost:{self.server.port} -tls": SERVING}
        self.assert_exits(cases, SSL_CERT_FILE=f"{good}/cert.pem")

    def test_verbose_output_is_the_same(self):
        trust = ["-tls", "-tls-ca-cert", f"{good}/cert.pem"]
        theirs, ours = run_both("-addr", self.server.address, "-v", *trust)
        self.assertEqual(without_times(ours), without_times(theirs))


class MutualTls(ProbeCase):
    @classmethod
    def setUpClass(cls):
        authority = ["--tls-client-ca-file", f"{good}/cert.pem"]
        cls.server = Server(args.file, *tls_flags(good), *authority)
        cls.addClassCleanup(cls.server.kill)

    def test_client_certificates(self):
        cases = {
            f"{client_flags(good)}": SERVING,
            f"{client_flags(good)} -gzip -service readiness": SERVING,
            f"{client_flags(other)} -connect-timeout 300ms": NO_CONNECTION,
            "-connect-timeout 300ms": NO_CONNECTION,
        }
        trust = ["-tls", "-tls-ca-cert", f"{good}/cert.pem"]
        self.assert_exits(cases, before=["-addr", self.server.address, *trust])


class Arguments(ProbeCase):
    """Cases that need no server."""

    def test_invalid_arguments(self):
        tls = "-tls -tls-no-verify"
        lines = [
            "-missing",
            "---v",
            "-=x",
            "-v=maybe",
            "-tls=",
            "-service",
            "-rpc-timeout 1",
            "-rpc-timeout 1d",
            "-rpc-timeout=",
            "-rpc-timeout 0",
            "-connect-timeout 0s",
            "-connect-timeout -1s",
            "-connect-timeout 9999999h",
            "-rpc-header none",
            "-addr=",
            "-version -rpc-timeout=1",
            "-tls-no-verify",
            "-tls-server-name x",
            f"-tls-ca-cert {good}/cert.pem",
            f"-tls-client-cert {good}/cert.pem",
            f"-tls-client-key {good}/key.pem",
            f"{client_flags(good)}",
            f"-tls -tls-client-cert {good}/cert.pem",
            f"-tls -tls-client-key {good}/key.pem",
            f"{tls} -tls-ca-cert {good}/cert.pem",
            f"{tls} -tls-server-name x",
            f"-tls -tls-ca-cert {good}/missing",
            f"-tls -tls-ca-cert {good}",
            f"-tls -tls-ca-cert {good}/key.pem",
            f"{tls} -tls-client-cert {good}/cert.pem -tls-client-key {other}/key.pem",
            f"{tls} -tls-client-cert {good}/key.pem -tls-client-key {good}/cert.pem",
            "-alts -spiffe",
            "-alts -tls",
            "-spiffe -tls",
        ]
        self.assert_exits(dict.fromkeys(lines, BAD_ARGUMENTS), before=["-addr", NOBODY])
        self.assert_exits({"": BAD_ARGUMENTS, "x -addr y:1": BAD_ARGUMENTS})

    def test_the_version(self):
        self.assert_exits({"-version": SERVING, "-tls-no-verify -version -alts": SERVING})

    def test_unsupported_flags_of_the_original_are_named(self):
        for flag in ("-alts", "-spiffe"):
            ran = greeter(args.file, "-addr", NOBODY, flag)
            self.assertEqual(ran.returncode, BAD_ARGUMENTS)
            self.assertIn(f"-{flag}: greeter has no such thing", ran.stderr)

    def test_every_flag_of_the_original_is_known(self):
        flag = re.compile(r"^\s+-?(-[a-z-]+)\b", re.MULTILINE)
        theirs = set(flag.findall(original("-h").stderr))
        ours = set(flag.findall(greeter(args.file, "-h").stdout))
        self.assertGreater(len(theirs), 10)
        self.assertEqual(theirs - ours, set())


programs = {
    "original": original,
    "greeter": lambda *flags, **settings: greeter(args.file, *flags, **settings),
}


def run_both(*flags, **settings):
    return [run(*flags, **settings) for run in programs.values()]


def without_times(ran):
    """Returns the output with durations masked. The original prints to standard error only."""
    return re.sub(r"(took |connect=|rpc=)[\d.]+(µs|ms|s)", r"\1TIME", ran.stderr + ran.stdout)


def new_folder(add_cleanup):
    folder = tempfile.TemporaryDirectory()
    add_cleanup(folder.cleanup)
    return folder.name



def tls_flags(files):
    return ["--tls-cert-file", f"{files}/cert.pem", "--tls-key-file", f"{files}/key.pem"]


def client_flags(files):
    return f"-tls-client-cert {files}/cert.pem -tls-client-key {files}/key.pem"


if __name__ == "__main__":
    run_tests()
