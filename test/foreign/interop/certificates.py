"""The certificate that all interop clients know how to trust."""

from harness import foreign

_folder = foreign / "interop/certificates"

#: Who has signed it.
AUTHORITY = _folder / "ca.pem"
#: One of the names it is for.
NAME = "foo.test.google.fr"
#: Flags of a server that serves with it.
SERVED = ("--tls-cert-file", _folder / "server1.pem", "--tls-key-file", _folder / "server1.key")
