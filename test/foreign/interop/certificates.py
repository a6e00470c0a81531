"""gRPC's test certificate, which all interop clients can trust."""

from harness import foreign

_folder = foreign / "interop/certificates"

#: The CA certificate that signed it.
AUTHORITY = _folder / "ca.pem"
#: One of the host names in it.
NAME = "foo.test.google.fr"
#: The flags for a server that uses it.
SERVED = ("--tls-cert-file", _folder / "server1.pem", "--tls-key-file", _folder / "server1.key")
