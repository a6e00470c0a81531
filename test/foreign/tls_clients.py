"""Clients in five languages over TLS 1.3 and 1.2. Intermediate CAs sign the certificates of both sides.

There is a server for each TLS version. Each client calls both, on a permanent connection and on new ones,
while the servers' certificate is renewed; then with certificates that the servers must refuse.
"""

import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness import BOUND, arguments, project, run_tests
from rate.counted_server import CountedServer
from tls.clients import NEW, Curl, Grpcio, Identity, Program

args = arguments(file="the built file")

VERSIONS = {
    ssl.TLSVersion.TLSv1_3: {},
    # The server accepts both versions; this flag of Node limits it to 1.2.
    ssl.TLSVersion.TLSv1_2: {"NODE_OPTIONS": "--tls-max-v1.2"},
}

#: Client certificates that the server must refuse, with the reason in its log.
NOT_TAKEN = {
    "expired": {"client_certificate_expired"},
    # The Go and Java clients send no certificate that is not signed by a CA which the server names.
    "stranger": {"unknown_authority", "no_client_certificate"},
    "bare": {"unknown_authority", "no_client_certificate"},
    None: {"no_client_certificate"},
}
#: The reason in the log if a client does not trust the server's certificate.
NOT_TRUSTED = {"rejected_by_client", "reset"}


class TlsClients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = Path(folder.name)
        cls.clients = {name: Program(name) for name in ("go", "java", "cpp")}
        cls.clients |= {"grpcio": Grpcio(), "curl": Curl("--http2")}
        for client in cls.clients.values():
            cls.addClassCleanup(client.close)
        subprocess.run(["node", project / "test/foreign/tls/files.ts", cls.folder], check=True)
        cls.serve("first")
        flags = ["--tls-cert-file", cls.path("tls.crt"), "--tls-key-file", cls.path("tls.key")]
        flags += ["--tls-client-ca-file", cls.path("client_root.pem"), "--tls-reload-interval", "1s"]
        cls.servers = {
            version: CountedServer(args.file, *flags, "--admin-listen=127.0.0.1:0", **settings)
            for version, settings in VERSIONS.items()
        }
        for server in cls.servers.values():
            cls.addClassCleanup(server.kill)

    def test_no_call_fails_while_the_certificate_is_renewed(self):
        load = Load(self.clients, self.servers, self.identity)

        with ThreadPoolExecutor(len(self.clients)) as pool:
            calling = {name: pool.submit(load.run, client) for name, client in self.clients.items()}
            try:
                self.assertTrue(load.wait_for_all(), "not every client has called")
                self.serve("second")
                for server in self.servers.values():
                    server.wait_for(msg="serving certificate", subject="CN=second")
            finally:
                load.is_renewed = True

        for name, run in calling.items():
            with self.subTest(client=name):
                self.assertEqual(run.result(), [])
        for version, server in self.servers.items():
            with self.subTest(version=version.name):
                seen = server.take(load.calls)
                self.assertEqual(seen.codes, {"OK": load.calls})
                # The permanent connections of all clients are still open.
                self.assertEqual(len(seen.peers), load.connections)
                self.assertNotIn("connection error", [line["msg"] for line in seen.others])

    def test_a_client_without_alpn_is_served(self):
        curl = Curl("--no-alpn", "--http2-prior-knowledge")
        for version, server in self.servers.items():
            with self.subTest(version=version.name):
                said = curl.call(NEW, server.address, self.identity("client", "roots.pem"))
                server.take(1)

                self.assertEqual(said, "OK")
                self.assertEqual(self.negotiated(server), (version.name, None))

    def test_who_has_no_certificate_to_be_taken_is_refused_for_a_reason(self):
        for version, server in self.servers.items():
            for shown, reasons in NOT_TAKEN.items():
                with self.subTest(version=version.name, shown=shown):
                    self.assert_refused(server, self.identity(shown, "roots.pem"), reasons)

    def test_who_does_not_trust_the_server_says_so(self):
        for version, server in self.servers.items():
            with self.subTest(version=version.name):
                identity = self.identity("client", "stranger.pem")
                said = self.assert_refused(server, identity, NOT_TRUSTED)
                for each in said:
                    self.assertRegex(each, "certificat|CERTIFICATE_VERIFY_FAILED")

    def assert_refused(self, server, identity, reasons):
        """Asserts that every client fails, and that the server counts and logs it. Returns the clients' messages."""
        before = failures(server)
        call = lambda client: client.call(NEW, server.address, identity)
        with ThreadPoolExecutor(len(self.clients)) as pool:
            said = list(pool.map(call, self.clients.values()))
        for each in said:
            self.assertRegex(each, r"^(UNAVAILABLE: |curl: \(\d+\))")

        def grown():
            return {reason: count - before.get(reason, 0) for reason, count in failures(server).items()}

        def counted():
            return sum(grown().get(reason, 0) for reason in reasons)

        deadline = time.monotonic() + BOUND
        while counted() < len(said) and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertGreaterEqual(counted(), len(said), [grown(), said])
        more = {reason for reason, count in grown().items() if count > 0}
        # Some clients dial again, and close the connection when the call has ended.
        self.assertLessEqual(more, reasons | {"reset"})
        for reason in more & reasons:
            server.wait_for(msg="connection error", reason=f"handshake_{reason}")
        return said

    def negotiated(self, server):
        """Returns the TLS version and the ALPN protocol of a client that offers no ALPN."""
        identity = self.identity("client", "roots.pem")
        context = ssl.create_default_context(cafile=identity.ca)
        context.load_cert_chain(identity.cert, identity.key)
        with socket.create_connection(("127.0.0.1", server.port), BOUND) as tcp:
            with context.wrap_socket(tcp, server_hostname="127.0.0.1") as tls:
                return tls.version().replace(".", "_"), tls.selected_alpn_protocol()

    @classmethod
    def serve(cls, name):
        """Replaces the servers' certificate files, slowly and in parts."""
        pem = cls.path(f"{name}.pem").read_text()
        half = len(pem) // 2
        with cls.path("tls.crt").open("w") as file:
            for part in (pem[:half], pem[half:]):
                file.write(part)
                file.flush()
        shutil.copy(cls.path(f"{name}.key"), cls.path("tls.key"))

    @classmethod
    def identity(cls, shown, trusted):
        ca = str(cls.path(trusted))
        if shown is None:
            return Identity(ca)
        return Identity(ca, str(cls.path(f"{shown}.pem")), str(cls.path(f"{shown}.key")))

    @classmethod
    def path(cls, file):
        return cls.folder / file


class Load:
    """Calls by all clients to all servers. At first they trust only the first certificate, finally only the second."""

    def __init__(self, clients, servers, identity):
        #: True once all servers use the second certificate.
        self.is_renewed = False
        #: The numbers of calls and connections to each server.
        self.calls = self.connections = 0
        self._servers = servers
        self._identity = identity
        self._lock = threading.Lock()
        self._all_call = threading.Barrier(len(clients) + 1)

    def wait_for_all(self):
        """True if every client has called every server."""
        try:
            self._all_call.wait(BOUND)
            return True
        except threading.BrokenBarrierError:
            return False

    def run(self, client):
        """Calls in rounds, and returns the failures."""
        failed = self._round(client, "first_root.pem", opens=2)
        try:
            self._all_call.wait(BOUND)
        except threading.BrokenBarrierError:
            return [*failed, "not every client has called"]
        # No client trusts only the first certificate any more, so it may be renewed.
        while not self.is_renewed:
            failed += self._round(client, "roots.pem", opens=1)
        return failed + self._round(client, "second_root.pem", opens=1)

    def _round(self, client, trust, opens):
        """Makes one call on the permanent connection and one on a new connection to each server."""
        identity = self._identity("client", trust)
        said = [
            client.call(name, server.address, identity)
            for version, server in self._servers.items()
            for name in (version.name, NEW)
        ]
        with self._lock:
            self.calls += 2
            self.connections += 2 if isinstance(client, Curl) else opens
        return [each for each in said if each != "OK"]


def failures(server):
    """Returns the counts of the metric of TLS handshake errors, by reason."""
    port = server.wait_for(msg="admin listening")["port"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=BOUND) as answer:
        text = answer.read().decode()
    counts = re.findall(r'^greeter_tls_handshake_errors_total\{reason="(\w+)"\} (\d+)$', text, re.M)
    return {reason: int(count) for reason, count in counts}


if __name__ == "__main__":
    run_tests()
