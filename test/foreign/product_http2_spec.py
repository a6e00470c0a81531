"""h2spec against the built file: what is no gRPC call, and a path that is one."""

import unittest

from h2spec_case import assert_all_pass
from harness import arguments, run_tests

args = arguments(addr="HOST:PORT of the server")
host, _, port = args.addr.rpartition(":")


class ProductHttp2Spec(unittest.TestCase):
    def test_any_path(self):
        assert_all_pass(self, host, port)

    def test_the_path_of_a_method(self):
        assert_all_pass(self, host, port, "-P", "/Hello/Hello")


if __name__ == "__main__":
    run_tests()
