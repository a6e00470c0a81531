"""Clients that call over TLS with given certificates.

The Go, Java and C++ clients are programs that run as long as the tests. They read lines of the form `NAME
ADDRESS CA CERT KEY`, with `-` for no certificate and no key. For each line they call on the open channel of
that name, or open it first; a channel named `-` is closed after the call. They print one line: `OK`, or the
status and its message.
"""

import subprocess
from typing import NamedTuple

import grpc

from harness import BOUND, foreign

METHOD = "/grpc.testing.TestService/EmptyCall"

#: The name of a connection that is used for one call.
NEW = "-"


class Identity(NamedTuple):
    """The files with a client's trusted CA, its certificate and its key."""

    ca: str
    cert: str = "-"
    key: str = "-"


class Program:
    """A client program in another language."""

    def __init__(self, name):
        self.process = subprocess.Popen(
            [foreign / f"bin/tls_{name}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            bufsize=1,
        )

    def call(self, name, address, identity):
        """Returns `OK` or the error."""
        self.process.stdin.write(" ".join([name, address, *identity]) + "\n")
        return self.process.stdout.readline().strip() or "the client has ended"

    def close(self):
        self.process.kill()
        self.process.communicate()


class Grpcio:
    """grpcio, in this process."""

    def __init__(self):
        self._kept = {}

    def call(self, name, address, identity):
        channel = self._kept.get(name) or self._open(address, identity)
        if name != NEW:
            self._kept[name] = channel
        try:
            channel.unary_unary(METHOD)(b"", timeout=BOUND)
            return "OK"
        except grpc.RpcError as error:
            return f"{error.code().name}: {error.details()}"
        finally:
            if name == NEW:
                channel.close()

    def close(self):
        for channel in self._kept.values():
            channel.close()

    def _open(self, address, identity):
        ca, cert, key = (None if path == "-" else read(path) for path in identity)
        # Otherwise, channels with the same arguments share a connection.
        alone = [("grpc.use_local_subchannel_pool", 1)]
        return grpc.secure_channel(address, grpc.ssl_channel_credentials(ca, key, cert), alone)


class Curl:
    """curl, with a new connection for each call, whatever its name."""

    def __init__(self, *flags):
        self._flags = flags

    def call(self, _name, address, identity):
        shown = [] if identity.cert == "-" else ["--cert", identity.cert, "--key", identity.key]
        fields = ["-H", "content-type: application/grpc", "-H", "te: trailers"]
        ran = subprocess.run(
            ["curl", "-sS", *self._flags, "--cacert", identity.ca, *shown, *fields]
            # Five zero bytes are a message without fields.
            + ["--data-binary", "@-", "-D", "-", "-o", "/dev/null", f"https://{address}{METHOD}"],
            input=bytes(5),
            capture_output=True,
            timeout=BOUND,
        )
        is_ok = ran.returncode == 0 and b"\ngrpc-status: 0\r" in ran.stdout
        return "OK" if is_ok else (ran.stderr or ran.stdout).decode().strip()

    def close(self):
        pass


def read(path):
    with open(path, "rb") as file:
        return file.read()
