"""A greeter server of our own, for what the common one cannot be put through."""

import atexit
import json
import os
import signal
import subprocess
import threading

from harness import BOUND


class Server:
    """The built file, serving on a free port of this machine. Always ended with this process."""

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
        """The first line of the log that holds these fields, as soon as it is there."""
        with self._more:
            if self._more.wait_for(lambda: self._find(fields), BOUND):
                return self._find(fields)
        raise AssertionError(f"no line {fields} in the log: {self._lines}")

    def terminate(self):
        """Asks the server to leave, and comes back when it has begun to."""
        self.process.send_signal(signal.SIGTERM)
        self.wait_for(msg="shutting down")

    def exit_code(self):
        """The exit code, once there is one."""
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
    """What starts the built file, or an executable."""
    return ["node", file] if file.endswith(".mjs") else [file]


def environment(**settings):
    """This process's environment, with these settings of greeter's, and those that say how to serve."""
    kept = ("GREETER_ENGINE", "GREETER_TLS_CERT_FILE", "GREETER_TLS_KEY_FILE")
    ours = {
        name: text
        for name, text in os.environ.items()
        if name in kept or not name.startswith("GREETER_")
    }
    # The common server has these ports; a second server could not listen there as well.
    return ours | {"GREETER_ADMIN_LISTEN": "off", "GREETER_HEALTH_LISTEN": "off"} | settings
