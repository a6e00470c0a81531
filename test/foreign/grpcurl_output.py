"""Parses the output of grpcurl."""

import json


def json_values(text):
    """Yields the JSON values in a text, which follow each other without separators."""
    decoder = json.JSONDecoder()
    while text := text.lstrip():
        value, end = decoder.raw_decode(text)
        text = text[end:]
        yield value
