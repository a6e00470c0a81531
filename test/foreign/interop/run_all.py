"""Runs every case of every client at once, as far as the machine takes it."""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from interop.cases import PAIRS, SLEEPERS
from interop.client import kill_clients, run_client

_awake = ThreadPoolExecutor((os.cpu_count() or 1) + 1)
# There are few of them, and all begin at once.
_asleep = ThreadPoolExecutor(64)


class Run(NamedTuple):
    """A case of a client against an engine, over TLS or in plain text."""

    engine: str
    tls: bool
    client: str
    case: str


def runs(engines):
    """Everything there is to run."""
    return [Run(engine, tls, *pair) for pair in PAIRS for engine in engines for tls in (False, True)]


def run_all(ports):
    """Begins every run, and gives a future result for each. A port is known by its engine and TLS."""
    return {
        run: (_asleep if run.case in SLEEPERS else _awake).submit(
            run_client, run.client, run.case, ports[run.engine, run.tls], run.tls
        )
        for run in runs(dict.fromkeys(engine for engine, _ in ports))
    }


def stop():
    """Ends what runs, and lets nothing begin: without it, whoever stops halfway would wait for all of it."""
    for pool in (_awake, _asleep):
        pool.shutdown(wait=False, cancel_futures=True)
    kill_clients()
