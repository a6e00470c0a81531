"""`npm start` in a terminal: the output for people, and Ctrl-C."""

import contextlib
import json
import os
import pty
import re
import select
import subprocess
import unittest

from grpcurl_calls import CALLS
from grpcurl_output import json_values
from harness import BOUND, foreign, project, run_tests
from pseudo_terminal import PseudoTerminal
from server import environment

PARROT = "greet.Greeter/ParrotSayHello"
#: Long enough for Ctrl-C to arrive between the three replies.
PAUSE = "500ms"
SPINNER = "".join(map(chr, range(0x2800, 0x2900)))


class NpmStart(unittest.TestCase):
    def setUp(self):
        settings = {"GREETER_LISTEN": "127.0.0.1:0,127.0.0.1:0", "GREETER_PARROT_INTERVAL": PAUSE}
        self.terminal = PseudoTerminal(
            ["npm", "start"], project, environment(**settings)
        )
        self.addCleanup(self.terminal.kill)
        # The first start compiles the sources, which takes long on a busy machine.
        self.terminal.wait_for(r"Stop .*\n", bound=60)
        self.ports = re.findall(r"127\.0\.0\.1:(\d+)", re.search(r"gRPC .*\n", self.terminal.text)[0])

    def test_the_output_is_readable_text(self):
        lines = self.terminal.text.splitlines()[-5:]
        # npm shows a spinner until the server prints.
        words = [line.lstrip(SPINNER).split()[0] for line in lines]
        self.assertEqual(words, ["gRPC", "Services", "Metrics", "Try", "Stop"])
        self.assertNotRegex(self.terminal.text, r"(?m)^\s*\{")

    def test_the_lines_name_every_port(self):
        self.assertEqual(len(set(self.ports)), 2, self.terminal.text)

    def test_the_command_to_try_works(self):
        command = re.search(r"Try +(.*)\n", self.terminal.text)[1]
        ran = subprocess.run(
            command, shell=True, cwd=project, env=environment(), capture_output=True, timeout=BOUND
        )
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertTrue(ran.stdout.decode().endswith("Hello World\n"), ran.stdout)

    def test_ctrl_c_stops_the_server(self):
        self.terminal.ctrl_c()
        self.assert_ended_well()

    def test_ctrl_c_lets_an_open_call_end(self):
        parrot = self.start_parrot()
        text = parrot.stdout.readline()
        self.terminal.ctrl_c()
        self.terminal.wait_for(r"Shutting down: waiting .* for \d open call")
        self.assertIsNone(parrot.poll(), "the call ended before the server began to shut down")

        text += parrot.stdout.read()
        self.assertEqual(parrot.wait(BOUND), 0)
        self.assertEqual(list(json_values(text)), CALLS[PARROT][1])
        self.assert_ended_well()

    def assert_ended_well(self):
        self.assertEqual(self.terminal.exit_code(), 0, self.terminal.text)
        self.assertFalse(self.terminal.has_processes())

    def start_parrot(self):
        (request,), _ = CALLS[PARROT]
        flags = ["-plaintext", "-max-time", str(BOUND), "-d", json.dumps(request)]
        call = subprocess.Popen(
            [foreign / "bin/grpcurl", *flags, f"127.0.0.1:{self.ports[0]}", PARROT],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(call.stdout.close)
        self.addCleanup(call.wait)
        self.addCleanup(call.kill)
        return call


class TerminalThatFails(unittest.TestCase):
    """A terminal that is closed, or stopped with Ctrl-S, must not affect the server."""

    def setUp(self):
        self.screen, terminal = pty.openpty()
        self.program = ["node", "dist/greeter.mjs"]
        # In its own session it gets no SIGHUP, as under nohup.
        self.server = subprocess.Popen(
            [*self.program, "serve", "--listen", "127.0.0.1:0"],
            cwd=project,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=terminal,
            start_new_session=True,
        )
        self.terminal = terminal
        self.addCleanup(self.server.wait)
        self.addCleanup(self.server.kill)
        text = ""
        while "Stop " not in text:
            self.assertTrue(select.select([self.screen], [], [], BOUND)[0], text)
            text += os.read(self.screen, 65536).decode()
        self.address = "127.0.0.1:" + re.search(r"gRPC +127\.0\.0\.1:(\d+)", text)[1]

    def test_a_closed_terminal_blocks_neither_calls_nor_shutdown(self):
        os.close(self.terminal)
        os.close(self.screen)
        self.assert_serves_and_ends()

    def test_a_stopped_terminal_blocks_neither_calls_nor_shutdown(self):
        # Fills the buffer of the terminal, which nobody reads any more, as after Ctrl-S.
        os.set_blocking(self.terminal, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(self.terminal, b"x")
        os.set_blocking(self.terminal, True)
        self.addCleanup(os.close, self.terminal)
        self.addCleanup(os.close, self.screen)
        self.assert_serves_and_ends()

    def assert_serves_and_ends(self):
        for _ in range(3):
            ran = subprocess.run(
                [*self.program, "guide", "hello", "--addr", self.address],
                cwd=project,
                env=environment(),
                capture_output=True,
                timeout=BOUND,
            )
            self.assertEqual(ran.stdout, b"Hello World\n", ran.stderr)
        self.server.terminate()
        self.assertEqual(self.server.wait(BOUND), 0)


if __name__ == "__main__":
    run_tests()
