"""Python's hpack and src/engine/http2/hpack decode what the other encodes."""

import json
import random
import subprocess
import unittest

from hpack import Decoder, Encoder, NeverIndexedHeaderTuple
from harness import project, run_tests

#: The number of header lists in each direction.
LISTS = 100_000
LISTS_PER_CONNECTION = 1000

NAMES = [":path", ":status", "accept", "authorization", "content-type", "cookie", "te"]
NAMES += ["grpc-timeout", "user-agent", "x-request-id", "x-bin", "a", "z" * 100, ""]
VALUES = ["", "/", "200", "404", "trailers", "application/grpc", "gzip, deflate", "1S", "v" * 200]
OCTETS = [chr(octet) for octet in range(256)]
TABLE_SIZES = [0, 30, 100, 300, 1000, 4096, 10_000]


class HpackRoundTrip(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.peer = subprocess.Popen(
            ["node", project / "test/foreign/hpack_peer.ts"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        cls.addClassCleanup(cls.peer.wait)
        cls.addClassCleanup(cls.peer.stdout.close)
        cls.addClassCleanup(cls.peer.stdin.close)

    def test_we_decode_what_hpack_encodes(self):
        for chance in connections():
            encoder = Encoder()
            lists, blocks, inserted = header_lists(chance), [], 0
            for fields in lists:
                resize(chance, encoder)
                block = encoder.encode(marked(chance, fields), huffman=chance.random() < 0.7)
                inserted += len(encoder.header_table.dynamic_entries) > 0
                blocks.append(block.hex())
            decoded = self.ask(decode=blocks)
            self.assert_same(decoded, [flat(fields) for fields in lists])
            self.assertGreater(inserted, 0, "their dynamic table was never in use")

    def test_hpack_decodes_what_we_encode(self):
        for chance in connections():
            decoder = Decoder()
            lists = header_lists(chance)
            blocks = self.ask(encode=[flat(fields) for fields in lists])
            decoded = []
            for block in blocks:
                if chance.random() < 0.1:
                    decoder.max_allowed_table_size = chance.choice(TABLE_SIZES)
                fields = decoder.decode(bytes.fromhex(block), raw=True)
                decoded.append([text.decode("latin-1") for field in fields for text in field])
            self.assert_same(decoded, [flat(fields) for fields in lists])

    def ask(self, **connection):
        self.peer.stdin.write(json.dumps(connection) + "\n")
        self.peer.stdin.flush()
        return json.loads(self.peer.stdout.readline() or '"our side has ended"')

    def assert_same(self, actual, expected):
        # One list at a time keeps the failure message short.
        self.assertEqual(len(actual), len(expected), actual[:100])
        for ours, theirs in zip(actual, expected):
            self.assertEqual(ours, theirs)


def connections():
    """Yields random generators; a failure prints the seed."""
    for _ in range(LISTS // LISTS_PER_CONNECTION):
        seed = random.randrange(2**32)
        try:
            yield random.Random(seed)
        except GeneratorExit:
            print(f"failed with the seed {seed}")
            raise


def header_lists(chance):
    return [
        [(chance.choice(NAMES), value(chance)) for _ in range(int(chance.random() * 6))]
        for _ in range(LISTS_PER_CONNECTION)
    ]


def value(chance):
    kind = chance.random()
    if kind < 0.7:
        return chance.choice(VALUES)
    return "".join(chance.choices(OCTETS if kind < 0.8 else "0123456789abcdef-", k=int(kind * 30)))


def marked(chance, fields):
    """Marks some fields as never indexed. Returns bytes, because hpack encodes text as UTF-8."""
    for name, value in fields:
        pair = name.encode("latin-1"), value.encode("latin-1")
        yield NeverIndexedHeaderTuple(*pair) if chance.random() < 0.1 else pair


def resize(chance, encoder):
    """Changes the table size once or twice at random; 4096 octets are the maximum."""
    sizes = chance.choices(TABLE_SIZES, k=chance.choice([1, 1, 2])) if chance.random() < 0.05 else []
    # Ascending, because hpack 4.2.0 writes every size that was set ...
    for size in sorted(sizes):
        # ... and omits earlier changes if the same size is set twice.
        if 4096 >= size != encoder.header_table_size:
            encoder.header_table_size = size


def flat(fields):
    return [text for field in fields for text in field]


if __name__ == "__main__":
    run_tests()
