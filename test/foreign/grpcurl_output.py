"""Reads what grpcurl prints."""

import json


def json_values(text):
    """The values of a text that holds one after the other."""
    decoder = json.JSONDecoder()
    while text := text.lstrip():
        value, end = decoder.raw_decode(text)
        text = text[end:]
        yield value
