"""Writes the result tables in docs/interop.md."""

import os
import re
from pathlib import Path

from interop.cases import CASES, CLIENTS
from interop.known_failures import reason_for

#: The text between these lines is generated.
BEGIN = "<!-- matrix: written by test/foreign/interop_clients.py -->\n"
END = "<!-- /matrix -->\n"

FOLDER = Path(__file__).parent


def write_matrix(file, passed):
    """Writes the result of each run into the generated part of the file."""
    before, rest = file.read_text().split(BEGIN)
    _, after = rest.split(END)
    engines = dict.fromkeys(run.engine for run in passed)
    parts = ["", clients(), *(section(engine, passed) for engine in engines), ""]
    # The file is replaced atomically, because a parallel CI step may compare it with git.
    new = file.with_suffix(".new")
    new.write_text("".join([before, BEGIN, "\n".join(parts), END, after]))
    os.replace(new, file)


def clients():
    """Returns the table of the clients and their versions."""
    go = found(r"google\.golang\.org/grpc v(\S+)", "go.mod")
    java = found(r"<version>(\d+\.\d+\.\d+)</version>", "pom.xml")
    python = found(r"grpcio==(\S+)", "requirements.txt")
    debian = found(r"GRPC_DEBIAN=(\d+\.\d+\.\d+)", "install.sh")
    return table(
        ("client", "is"),
        ("go", f"grpc-go {go}"),
        ("java", f"grpc-java {java} on Netty"),
        ("okhttp", f"grpc-java {java} on OkHttp"),
        ("cpp", f"gRPC C++ {debian}"),
        ("python", f"grpcio {python}, called by the client of {debian}"),
        ("ruby", f"gRPC Ruby {debian}"),
    )


def section(engine, passed):
    """Returns the table of an engine's cases, and the reasons for failures."""
    reasons = []
    rows = [(case, *(cell(engine, client, case, passed, reasons) for client in CLIENTS)) for case in CASES]
    counted = [good for run, good in passed.items() if run.engine == engine]
    title = f"### On {engine}, {sum(counted)} of {len(counted)} pass\n"
    notes = [f"{number}. {reason}\n" for number, reason in enumerate(reasons, 1)]
    return "\n".join([title, table(("case", *CLIENTS), *rows), "".join(notes)]).rstrip("\n") + "\n"


def cell(engine, client, case, passed, reasons):
    """Returns the result of a case with and without TLS. Adds the reason that it refers to, if any."""
    this = (engine, client, case)
    mine = {run: good for run, good in passed.items() if (run.engine, run.client, run.case) == this}
    if not mine:
        return "-"
    words = {"TLS" if run.tls else "h2c": "pass" if good else "fail" for run, good in mine.items()}
    alike = len(set(words.values())) == 1
    text = words["h2c"] if alike else ", ".join(f"{word} ({over})" for over, word in words.items())
    reason = next(filter(None, map(reason_for, mine)), None)
    if reason is None:
        return text
    if reason not in reasons:
        reasons.append(reason)
    return f"{text} ({reasons.index(reason) + 1})"


def table(*rows):
    """Returns a Markdown table, padded as by the formatter. The first row is the header."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [rows[0], ["-" * width for width in widths], *rows[1:]]
    padded = [[text.ljust(width) for text, width in zip(line, widths, strict=True)] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in padded)


def found(pattern, file):
    return re.search(pattern, (FOLDER / file).read_text())[1]
