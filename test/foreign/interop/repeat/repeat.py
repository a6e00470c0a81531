"""Runs gRPC's interop client once for each line of standard input: see ../repeated.py."""

import gc
import sys
import traceback

import grpc
from tests.interop import client

for line in sys.stdin:
    sys.argv[1:] = line.rstrip("\n").split("\t")
    code = 0
    try:
        client.test_interoperability()
    except BaseException:
        traceback.print_exc()
        code = 1
    # The client leaves its channel open, and the next run would use the same connection.
    for each in gc.get_objects():
        if isinstance(each, grpc.Channel):
            each.close()
    print("ended", code, flush=True)
