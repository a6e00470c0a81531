"""h2spec against the built file, with or without TLS, on an unknown path and on the path of a method."""

import os
import unittest

from h2spec_case import assert_all_pass
from harness import arguments, run_tests

args = arguments(addr="HOST:PORT of the server")
host, _, port = args.addr.rpartition(":")
tls = ["-t", "-k"] if os.environ.get("FOREIGN_TLS_CA") else []


class ProductHttp2Spec(unittest.TestCase):
    def test_any_path(self):
        assert_all_pass(self, host, port, *tls)

    def test_the_path_of_a_method(self):
        assert_all_pass(self, host, port, *tls, "-P", "/Hello/Hello")


if __name__ == "__main__":
    run_tests()
