"""Runs Envoy and nginx as proxies of a server."""

import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from string import Template

from harness import BOUND, foreign

_folder = Path(__file__).parent

#: Envoy's TLS to a local server, without verification of its certificate.
_SOCKETS = "type.googleapis.com/envoy.extensions.transport_sockets"
_PLAIN = f'{{ name: raw, typed_config: {{ "@type": {_SOCKETS}.raw_buffer.v3.RawBuffer }} }}'
_TLS = (
    f'{{ name: tls, typed_config: {{ "@type": {_SOCKETS}.tls.v3.UpstreamTlsContext, '
    "common_tls_context: { alpn_protocols: [h2] } } }"
)


class Proxy:
    """A proxy that listens on a free local port."""

    def __init__(self, file, server_port, command, **words):
        self.folder = Path(tempfile.mkdtemp(prefix="greeter-proxy-"))
        port = free_port()
        words |= {"port": port, "server_port": server_port, "folder": self.folder}
        config = self.folder / file
        config.write_text(Template((_folder / file).read_text()).substitute(words))
        self.address = f"127.0.0.1:{port}"
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen([*command, config], stdout=log, stderr=log)
        try:
            self.wait_until_it_listens(port)
        except BaseException:
            self.__exit__()
            raise

    def wait_until_it_listens(self, port):
        end = time.monotonic() + BOUND
        while time.monotonic() < end and self.process.poll() is None:
            try:
                return socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"the proxy does not listen on port {port}: {self.log()}")

    def log(self):
        return (self.folder / "log").read_text(errors="replace")[-3000:]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # nginx ends its worker on SIGTERM, but not on SIGKILL.
        self.process.terminate()
        try:
            self.process.wait(BOUND)
        finally:
            self.process.kill()
            shutil.rmtree(self.folder)


def envoy(server_port, tls):
    command = [foreign / "bin/envoy", "--concurrency", "1", "--use-dynamic-base-id", "--log-level", "warn", "-c"]
    return Proxy("envoy.yaml", server_port, command, socket=_TLS if tls else _PLAIN)


def nginx(server_port, tls):
    return Proxy("nginx.conf", server_port, [foreign / "bin/nginx", "-c"], scheme="grpcs" if tls else "grpc")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]
