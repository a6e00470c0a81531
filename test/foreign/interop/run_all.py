"""Runs all cases of all clients in parallel, limited by the number of processors."""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from interop.cases import PAIRS, SLEEPERS
from interop.client import kill_clients, run_client

_awake = ThreadPoolExecutor((os.cpu_count() or 1) + 1)
# Long cases use little processor time, and there are few of them.
_asleep = ThreadPoolExecutor(64)


class Run(NamedTuple):
    """A case with a client, an engine, and with or without TLS."""

    engine: str
    tls: bool
    client: str
    case: str


def runs(engines):
    """Returns all runs for these engines."""
    return [Run(engine, tls, *pair) for pair in PAIRS for engine in engines for tls in (False, True)]


def run_all(ports):
    """Starts all runs, and returns a future for each. The keys of `ports` are pairs of engine and TLS."""
    return {
        run: (_asleep if run.case in SLEEPERS else _awake).submit(
            run_client, run.client, run.case, ports[run.engine, run.tls], run.tls
        )
        for run in runs(dict.fromkeys(engine for engine, _ in ports))
    }


def stop():
    """Kills running clients and cancels the others, so that an interrupted run ends at once."""
    for pool in (_awake, _asleep):
        pool.shutdown(wait=False, cancel_futures=True)
    kill_clients()
