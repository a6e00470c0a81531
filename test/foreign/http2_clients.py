"""curl and nghttp against src/engine/http2, with bodies and windows of many sizes."""

import functools
import random
import re
import subprocess
import tempfile
from pathlib import Path

from harness import run_tests
from http2_case import Http2Case

SIZES = [0, 1, 16_383, 16_384, 16_385, 65_535, 65_536, 1_000_000, 100_000_000]
#: The stream window and the connection window as nghttp takes them, and the size of the body. N bits are a window of
#: 2^N - 1 bytes; 30 is the maximum. The connection window is 65,535 bytes at first.
WINDOWS = [
    (1, 1, 3000),
    (1, 30, 3000),
    (2, 16, 3000),
    (16, 1, 70_000),
    (10, 30, 300_000),
    (30, 10, 300_000),
    (16, 16, 10_000_000),
    (30, 30, 100_000_000),
]


class Http2Clients(Http2Case):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def test_curl_gets_and_posts(self):
        for tls in False, True:
            for size in SIZES:
                with self.subTest(size=size, tls=tls):
                    got = self.curl(self.url(size, tls=tls))
                    sent = self.curl("--data-binary", f"@{self.body(size)}", self.url(tls=tls))
                    self.assert_same(got, pattern(size))
                    self.assert_same(sent, content(size))

    def test_nghttp_gets_and_posts(self):
        for tls in False, True:
            for size in SIZES:
                with self.subTest(size=size, tls=tls):
                    got = self.nghttp(self.url(size, tls=tls))
                    sent = self.nghttp("-d", self.body(size), self.url(tls=tls))
                    self.assert_same(got, pattern(size))
                    self.assert_same(sent, content(size))

    def test_windows(self):
        for stream_bits, connection_bits, size in WINDOWS:
            with self.subTest(stream_bits=stream_bits, connection_bits=connection_bits):
                windows = ["-w", stream_bits, "-W", connection_bits]
                got = self.nghttp(*windows, self.url(size))
                sent = self.nghttp(*windows, "-d", self.body(size), self.url())
                self.assert_same(got, pattern(size))
                self.assert_same(sent, content(size))

    def test_an_empty_body_needs_no_window(self):
        self.assertEqual(self.nghttp("-w", 0, self.url(0)), b"")

    def test_trailers_and_informational_responses(self):
        asked = ["-H", "x-trailers: x-trailers", "-H", "x-informational: 2", self.url(tls=True)]
        heads = self.folder / "heads"
        received = self.curl("-D", heads, "--data-binary", f"@{self.body(1000)}", *asked)
        told = self.nghttp("-v", "-n", "-d", self.body(1000), "--trailer", "x-of: mine", *asked)

        self.assert_same(received, content(1000))
        informational = [f"HTTP/2 103 \nx-number: {number}" for number in range(2)]
        parts = [*informational, "HTTP/2 200", "x-end: yes"]
        self.assertEqual(split_heads(heads.read_text()), parts)
        fields = re.findall(rb"recv \(stream_id=1\) (:status|x-number|x-end): (\w+)", told)
        values = [b"103", b"0", b"103", b"1", b"200", b"yes"]
        self.assertEqual([value for _name, value in fields], values)

    def test_padding_and_continuation(self):
        for padding in 1, 7, 255:
            body = self.body(1_000_000)
            sent = self.nghttp("-b", padding, "--no-content-length", "-d", body, self.url())
            self.assert_same(sent, content(1_000_000))

    def test_dynamic_tables_of_any_size(self):
        for sizes in (0,), (65_536,), (0, 4096):
            tables = [flag for size in sizes for flag in ("-c", size)]
            tables += ["--encoder-header-table-size", sizes[0]]
            self.assert_same(self.nghttp("-m", 20, *tables, self.url(0)), b"")

    def test_nghttp_opens_many_streams_at_once(self):
        told = self.nghttp("-s", "-n", "-m", 1000, "-M", 1000, "-d", self.body(900), self.url())

        rows = re.findall(r"^ *\d+ .* (\d+) +(\w+) /$", told.decode(), re.MULTILINE)
        self.assertEqual(rows, [("200", "900")] * 1000)

    def test_curl_opens_many_streams_at_once(self):
        connects = self.curl(
            # Over TLS, because this curl (7.88) aborts parallel plaintext HTTP/2 streams with any server.
            *["--parallel", "--parallel-max", 100, "-o", self.folder / "#1"],
            *["-w", "%{num_connects}\n", self.url("[10000-10299]", tls=True)],
        )

        for size in range(10_000, 10_300):
            self.assert_same((self.folder / str(size)).read_bytes(), pattern(size))
        self.assertEqual(sum(map(int, connects.split())), 1)

    def curl(self, *arguments):
        return self.run_client("curl", "-sS", "--no-progress-meter", "-k", "--http2-prior-knowledge", *arguments)

    def nghttp(self, *arguments):
        return self.run_client("nghttp", "-y", "--no-dep", *arguments)

    def run_client(self, *command):
        """Returns the output. Fails on a non-zero exit code or any message on standard error."""
        ran = subprocess.run([str(each) for each in command], capture_output=True)
        self.assertEqual((ran.returncode, ran.stderr), (0, b""), command)
        return ran.stdout

    def url(self, path="", tls=False):
        scheme, port = ("https", self.ports["tls"]) if tls else ("http", self.ports["plain"])
        return f"{scheme}://127.0.0.1:{port}/{path}"

    def body(self, size):
        """Returns the path of a file with `size` bytes."""
        path = self.folder / f"{size}.body"
        if not path.exists():
            path.write_bytes(content(size))
        return path

    def assert_same(self, received, expected):
        # The bytes would make an unreadable failure message.
        self.assertEqual(len(received), len(expected))
        self.assertTrue(received == expected, "other bytes are received than expected")


@functools.cache
def content(size):
    """Returns reproducible random bytes."""
    return random.Random(size).randbytes(size)


@functools.cache
def pattern(size):
    """Returns the echo server's response body to GET /SIZE."""
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def split_heads(text):
    return [part.strip() for part in text.replace("\r", "").split("\n\n") if part.strip()]


if __name__ == "__main__":
    run_tests()
