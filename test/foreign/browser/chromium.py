"""Opens page.ts in headless Chromium."""

import json
import os
import signal
import subprocess
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from harness import BOUND, project

HTML = b"<!doctype html><script type=module src=/page.js></script>"
FLAGS = (
    "--headless=new",
    # Chromium has no sandbox for root.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    # The certificate of the server is for other names.
    "--ignore-certificate-errors",
)
#: The maximum duration of a visit, in seconds.
VISIT = 6 * BOUND


class Page:
    """Serves the page on an origin of its own."""

    def __enter__(self):
        self._files = {"/": ("text/html", HTML), "/page.js": ("text/javascript", bundle())}
        self._results = None
        self._posted = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler(self))
        self.origin = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._http.shutdown()
        self._http.server_close()

    def visit(self, servers):
        """Opens the page in Chromium, and returns what it sees of servers with these URLs by name."""
        self._files["/servers"] = ("application/json", json.dumps(servers).encode())
        with tempfile.TemporaryDirectory(prefix="greeter-chromium-") as profile:
            log = Path(profile, "log")
            with log.open("w") as output:
                chromium = subprocess.Popen(
                    ["chromium", *FLAGS, f"--user-data-dir={profile}", self.origin],
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            try:
                if not self._posted.wait(VISIT):
                    said = log.read_text()[-5000:]
                    raise AssertionError(f"the page posted nothing in {VISIT} s; Chromium said: {said}")
            finally:
                # With all of its processes.
                os.killpg(chromium.pid, signal.SIGKILL)
                chromium.wait()
        if error := self._results.get("error"):
            raise AssertionError(f"the page failed: {error}")
        return self._results

    def get(self, path):
        return self._files.get(path, ("text/plain", b""))

    def post(self, body):
        self._results = json.loads(body)
        self._posted.set()


def handler(page):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.answer(*page.get(self.path))

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            self.answer("text/plain", b"")
            page.post(body)

        def answer(self, kind, body):
            self.send_response(200)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    return Handler


def bundle():
    """Returns the script of the page."""
    build = ["esbuild", "--bundle", "--format=esm", "--log-level=warning"]
    page = project / "test/foreign/browser/page.ts"
    return subprocess.run([*build, page], stdout=subprocess.PIPE, check=True, timeout=BOUND).stdout
