"""All clients and proxies under load, on both engines, with and without TLS: the table of docs/clients.md.

Exits with 1 on a failure of our own engine; failures of grpc-js are only reported.
"""

import signal
import sys
import time

from harness import arguments, project
from interop.certificates import SERVED
from rate.clients import KINDS, SOAK
from rate.counted_server import CountedServer
from rate.runs import Crowd, Pooled, Run, Slow, at_rate
from rate.table import write_table

args = arguments(file="the built file")

#: The maximum duration of one client, in seconds.
CLIENT_SECONDS = 240

RUNS = (
    *at_rate(go=20_000, others=10_000),
    Run("okhttp", SOAK, 10_000),
    # Each has 600 kB.
    Run("cpp", SOAK, 2000),
    *(Run(client, "channel_soak", 300, range(300, 301)) for client in ("go", "java_interop", "cpp")),
    Slow("grpcio", "slow_streams", 14),
    Crowd("envoy", "fifty_clients", 50),
    *(Pooled("nginx", kind, 10_000, range(2, 100)) for kind in KINDS),
)


def main():
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    results = {}
    for engine in ("direct", "grpc-js"):
        for tls in (False, True):
            server = CountedServer(args.file, "--engine", engine, *(SERVED if tls else ()))
            for run in RUNS:
                results[engine, tls, run] = go(run, server, engine, tls)
            server.kill()
    write_table(project / "docs/clients.md", results)
    ours = [result for (engine, _, _), result in results.items() if engine == "direct"]
    sys.exit(1 if any(any(result.problems()) for result in ours) else 0)


def go(run, server, engine, tls):
    start = time.monotonic()
    result = run.go(server, tls, CLIENT_SECONDS)
    seconds = time.monotonic() - start
    name = f"{engine}, {'TLS' if tls else 'h2c'}, {run.client} {run.kind}"
    print(f"{name}: {result.outcome.ok} calls in {seconds:.1f} s", *result.problems(), sep="\n  ")
    return result


if __name__ == "__main__":
    main()
