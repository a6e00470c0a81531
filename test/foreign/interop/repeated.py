"""Processes of gRPC's interop clients that run one case after the other, because their start takes longer than a case.

Each reads lines of arguments, separated by tabs. After each run, it prints `ended CODE`, where the client would have
exited with that code.
"""

import os
import re
import select
import subprocess
import threading
import time
from pathlib import Path

from harness import foreign

_folder = Path(__file__).parent / "repeat"
_python = foreign / "interop/python/src/python/grpcio_tests"

_java = (foreign / "bin/repeat_java",)
COMMANDS = {
    "java": _java,
    "okhttp": _java,
    "python": (foreign / "interop/venv/bin/python", _folder / "repeat.py"),
    "ruby": ("ruby", _folder / "repeat.rb", foreign / "interop/ruby/src/ruby/pb/test/client.rb"),
}
ENDED = re.compile(rb"^ended (\d+)\n\Z", re.MULTILINE)

#: The processes of each thread, by their command.
_own = threading.local()
_all = []


def run(client, arguments, seconds):
    """Returns the exit code of a run, and its output. Raises TimeoutExpired if it does not end."""
    processes = _own.__dict__
    command = COMMANDS[client]
    if command not in processes or processes[command].poll() is not None:
        processes[command] = _start(command)
    process = processes[command]
    process.stdin.write("\t".join(arguments).encode() + b"\n")
    process.stdin.flush()

    output = b""
    end = time.monotonic() + seconds
    while not (ended := ENDED.search(output)):
        left = end - time.monotonic()
        if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
            process.kill()
            process.wait()
            raise subprocess.TimeoutExpired(command, seconds)
        chunk = os.read(process.stdout.fileno(), 65536)
        if not chunk:
            return process.wait() or 1, output
        output += chunk
    return int(ended[1]), output


def stop():
    """Kills all processes."""
    for process in _all:
        process.kill()
        process.wait()


def _start(command):
    process = subprocess.Popen(
        [str(each) for each in command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | {"PYTHONPATH": str(_python)},
    )
    _all.append(process)
    return process
