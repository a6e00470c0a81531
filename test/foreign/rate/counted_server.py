"""A server whose log is counted: how every call has ended for the server, and who has called."""

import json
from collections import Counter
from typing import NamedTuple

from harness import BOUND
from server import Server


class Counts(NamedTuple):
    """What the server has seen since the last look."""

    #: Ended calls by their code.
    codes: Counter
    #: Addresses that called: one for each connection, as every connection has a port of its own.
    peers: set
    #: Lines that speak of no call, such as those of a connection that was given up.
    others: list

    @classmethod
    def nothing(cls):
        return cls(Counter(), set(), [])


class CountedServer(Server):
    """Serves with connections of any age, so that whoever is told to go has to be told so for a fault."""

    def __init__(self, file, *flags, **settings):
        self._counts = Counts.nothing()
        super().__init__(file, "--max-connection-age", "none", *flags, **settings)
        # It has said that it serves.
        self.take(0)

    def take(self, calls):
        """What there was since the last look, as soon as so many calls have ended, or after a while."""
        with self._more:
            self._more.wait_for(lambda: self._counts.codes.total() >= calls, BOUND)
            taken, self._counts = self._counts, Counts.nothing()
        return taken

    def _read(self):
        for text in self.process.stdout:
            line = json.loads(text)
            with self._more:
                if line["msg"] == "call ended":
                    self._counts.codes[line["rpc.status_code"]] += 1
                    self._counts.peers.add(line["peer"])
                else:
                    self._lines.append(line)
                    self._counts.others.append(line)
                self._more.notify_all()
