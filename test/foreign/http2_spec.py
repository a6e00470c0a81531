"""h2spec against src/engine/http2, with and without TLS."""

from h2spec_case import assert_all_pass
from harness import run_tests
from http2_case import Http2Case


class Http2Spec(Http2Case):
    def test_over_plain_text(self):
        assert_all_pass(self, "127.0.0.1", self.ports["plain"])

    def test_over_tls(self):
        assert_all_pass(self, "127.0.0.1", self.ports["tls"], "-t", "-k")


if __name__ == "__main__":
    run_tests()
