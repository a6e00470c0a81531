"""Runs a program in a pseudo-terminal."""

import atexit
import contextlib
import os
import pty
import re
import select
import signal
import time

from harness import BOUND

COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class PseudoTerminal:
    """Runs a command; `text` is its output so far, without colours."""

    def __init__(self, command, folder, environment):
        self.pid, self._screen = pty.fork()
        if self.pid == 0:
            # A background job of a shell script ignores SIGINT, and child processes inherit that.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.chdir(folder)
            os.execvpe(command[0], command, environment)
        atexit.register(self.kill)
        self._bytes = b""
        self._exit_code = None

    @property
    def text(self):
        return COLOURS.sub("", self._bytes.decode(errors="replace")).replace("\r\n", "\n")

    def wait_for(self, pattern, bound=BOUND):
        """Reads until the pattern matches the text. Fails after `bound` seconds."""
        if not self._read_until(lambda: re.search(pattern, self.text), bound):
            raise AssertionError(f"no {pattern!r} on the screen after {bound} s: {self.text}")

    def ctrl_c(self):
        os.write(self._screen, b"\x03")

    def exit_code(self):
        """Waits for the process to end, and returns its exit code."""
        if not self._read_until(self._has_ended):
            raise AssertionError(f"still running: {self.text}")
        return self._exit_code

    def has_processes(self):
        """True if any process of this terminal is still running."""
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def kill(self):
        """Kills the remaining processes, and closes the terminal."""
        if self.has_processes():
            os.killpg(self.pid, signal.SIGKILL)
        if self._exit_code is None:
            os.waitpid(self.pid, 0)
        os.close(self._screen)
        atexit.unregister(self.kill)

    def _read_until(self, done, bound=BOUND):
        end = time.monotonic() + bound
        while not done():
            if time.monotonic() > end:
                return False
            # A short timeout, because select() does not report the end of the program.
            if select.select([self._screen], [], [], 0.05)[0]:
                self._read()
        return True

    def _read(self):
        # Linux reports EIO when no process has the terminal open any more.
        with contextlib.suppress(OSError):
            self._bytes += os.read(self._screen, 65536)

    def _has_ended(self):
        if self._exit_code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid == self.pid:
                self._exit_code = os.waitstatus_to_exitcode(status)
        return self._exit_code is not None
