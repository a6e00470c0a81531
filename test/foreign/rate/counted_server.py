"""A server whose log lines are counted by status code and peer."""

import json
from collections import Counter
from typing import NamedTuple

from harness import BOUND
from server import Server


class Counts(NamedTuple):
    """The server's calls since the previous take()."""

    #: The number of ended calls by status code.
    codes: Counter
    #: The peers' addresses with ports: one for each connection.
    peers: set
    #: Log lines that are not about calls, such as those about closed connections.
    others: list

    @classmethod
    def nothing(cls):
        return cls(Counter(), set(), [])


class CountedServer(Server):
    """Serves without a maximum connection age, so that a GOAWAY can only mean a fault."""

    def __init__(self, file, *flags, **settings):
        self._counts = Counts.nothing()
        super().__init__(file, "--max-connection-age", "none", *flags, **settings)
        # Discards the log lines of the start.
        self.take(0)

    def take(self, calls):
        """Waits, for a limited time, until `calls` calls have ended; returns the counts since the previous take()."""
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
