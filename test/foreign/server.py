"""A separate greeter server, for tests that the shared server cannot serve."""

import atexit
import json
import os
import signal
import subprocess
import threading

from harness import BOUND


class Server:
    """The built file, serving on a free port of the loopback interface. It ends with this process."""

    def __init__(self, file, *flags, **settings):
        self.process = subprocess.Popen(
            [*program(file), "serve", "--listen", "127.0.0.1:0", *flags],
            stdout=subprocess.PIPE,
            env=environment(**settings),
        )
        atexit.register(self.kill)
        self._lines = []
        self._more = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.port = self.wait_for(msg="listening")["port"]
        self.address = f"127.0.0.1:{self.port}"
        self.wait_for(msg="serving")

    def wait_for(self, **fields):
        """Waits for a log line with these fields, and returns the first one."""
        with self._more:
            if self._more.wait_for(lambda: self._find(fields), BOUND):
                return self._find(fields)
        raise AssertionError(f"no line {fields} in the log: {self._lines}")

    def terminate(self):
        """Starts graceful shutdown, and waits until it has begun."""
        self.process.send_signal(signal.SIGTERM)
        self.wait_for(msg="shutting down")

    def exit_code(self):
        """Waits for the process to end, and returns its exit code."""
        return self.process.wait(BOUND)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()
        self.process.stdout.close()
        atexit.unregister(self.kill)

    def _find(self, fields):
        return next((line for line in self._lines if fields.items() <= line.items()), None)

    def _read(self):
        for text in self.process.stdout:
            with self._more:
                self._lines.append(json.loads(text))
                self._more.notify_all()


def program(file):
    """Returns the command that starts the built file or an executable."""
    return ["node", file] if file.endswith(".mjs") else [file]


def environment(**settings):
    """Returns this process's environment with these settings; of its own settings, only engine and TLS are kept."""
    kept = ("GREETER_ENGINE", "GREETER_TLS_CERT_FILE", "GREETER_TLS_KEY_FILE")
    ours = {
        name: text
        for name, text in os.environ.items()
        if name in kept or not name.startswith("GREETER_")
    }
    # The shared server uses these ports.
    return ours | {"GREETER_ADMIN_LISTEN": "off", "GREETER_HEALTH_LISTEN": "off"} | settings
