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

#: Commands, which a configuration file completes.
ENVOY = [foreign / "bin/envoy", "--concurrency", "1", "--use-dynamic-base-id", "--log-level", "warn", "-c"]
NGINX = [foreign / "bin/nginx", "-c"]


class Proxy:
    """A proxy that listens on a free local port. Its configuration is a template with these words."""

    def __init__(self, template, command, **words):
        self.folder = Path(tempfile.mkdtemp(prefix="greeter-proxy-"))
        port = free_port()
        words |= {"port": port, "folder": self.folder}
        config = self.folder / template.name
        config.write_text(self.configuration(template, words))
        self.address = f"127.0.0.1:{port}"
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen([*command, config], stdout=log, stderr=log)
        try:
            self.wait_until_it_listens(port)
        except BaseException:
            self.__exit__()
            raise

    def configuration(self, template, words):
        return Template(template.read_text()).substitute(words)

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
    return Proxy(_folder / "envoy.yaml", ENVOY, server_port=server_port, socket=_TLS if tls else _PLAIN)


def nginx(server_port, tls):
    return Proxy(_folder / "nginx.conf", NGINX, server_port=server_port, scheme="grpcs" if tls else "grpc")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]
