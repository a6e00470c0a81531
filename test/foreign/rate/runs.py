"""The load of each client, and its outcome."""

import re
from dataclasses import dataclass
from typing import NamedTuple

from rate.clients import KINDS, SOAK, Outcome, run_client, run_crowd, run_slow
from rate.counted_server import Counts
from rate.proxies import envoy, nginx

#: Clients that make calls of all kinds.
OWN = ("grpcio", "java", "grpc_js", "grpc_js_2024")


@dataclass(frozen=True)
class Run:
    """The calls of a client, of one kind, and the number of connections that it may open."""

    client: str
    kind: str
    calls: int
    connections: range = range(1, 2)

    def go(self, server, tls, seconds):
        """Calls a counted server, and returns the outcome."""
        server.take(0)
        outcome = run_client(self.client, self.kind, self.calls, server.address, tls, seconds)
        return self.result(server, outcome)

    def result(self, server, outcome):
        return Result(self, outcome, server.take(outcome.ok + outcome.cancelled))


@dataclass(frozen=True)
class Slow(Run):
    """Streams in both directions that are not read, with a call beside each of them."""

    def go(self, server, tls, seconds):
        server.take(0)
        return self.result(server, run_slow(server.address, tls, seconds))


@dataclass(frozen=True)
class Crowd(Run):
    """Many clients behind an Envoy with one connection to the server; some read slowly, some cancel calls."""

    def go(self, server, tls, seconds):
        server.take(0)
        with envoy(server.port, tls) as proxy:
            return self.result(server, run_crowd(proxy.address, self.calls, seconds))


@dataclass(frozen=True)
class Pooled(Run):
    """A client behind nginx, which reuses connections and closes each after 1,000 calls."""

    #: The server sees the same with each of them; grpcio takes three times as much processor time as ghz.
    caller: str = "grpcio"

    def go(self, server, tls, seconds):
        server.take(0)
        with nginx(server.port, tls) as proxy:
            outcome = run_client(self.caller, self.kind, self.calls, proxy.address, False, seconds)
            return self.result(server, outcome)


class Result(NamedTuple):
    """A client's report of its calls, and the server's."""

    run: Run
    outcome: Outcome
    seen: Counts

    @property
    def failures(self):
        """The number of failed calls; 1 if the client as a whole failed."""
        counts = [re.match(r"\d+", why) for why in self.outcome.failed]
        return sum(int(count[0]) if count else 1 for count in counts)

    @property
    def replaced(self):
        """The number of connections above the expected number, which replace closed ones."""
        return max(0, len(self.seen.peers) - self.run.connections[-1])

    def problems(self):
        """Returns messages about everything unexpected."""
        outcome, seen, wanted = self.outcome, self.seen, self.run.connections
        if outcome.failed:
            yield f"failed: {outcome.failed}"
        codes = {"OK": outcome.ok, "CANCELLED": outcome.cancelled}
        if dict(seen.codes) != {code: count for code, count in codes.items() if count}:
            yield f"the client says {codes}, the server {dict(seen.codes)}"
        if len(seen.peers) not in wanted:
            yield f"{len(seen.peers)} connections instead of {wanted}"
        if seen.others:
            yield f"the server says {seen.others}"
        if not isinstance(self.run, Crowd) and outcome.ok != self.run.calls:
            yield f"{outcome.ok} calls instead of {self.run.calls}"


def at_rate(go, others):
    """Returns the runs of all clients, with the number of calls of each kind for Go clients and for others."""
    return (
        *(Run("ghz", kind, go) for kind in ("hello", *KINDS)),
        Run("go", SOAK, go),
        *(Run(client, kind, others) for client in OWN for kind in KINDS),
        Run("java_interop", SOAK, others),
    )
