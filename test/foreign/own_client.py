"""
Runs the programs of docs/own_client.md with its commands, against a server on the port that they dial. The Go
program is built earlier, because that needs a network: own_client.py --build-go PROGRAM
"""

import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from harness import foreign, project, run_tests

page = (project / "docs/own_client.md").read_text()

#: Replacements for commands of the page, because the packages are installed already.
INSTALLED = """
pip() { :; }
npm() { :; }
python3() {
  if [ "${2-}" = venv ]; then mkdir -p venv/bin && : > venv/bin/activate; else command python3 "$@"; fi
}
protoc() { python3 -m grpc_tools.protoc "$@"; }
"""
#: Pinned versions instead of @latest, so that new releases do not break the test.
# renovate: go google.golang.org/protobuf
PROTOC_GEN_GO = "v1.36.11"
# renovate: go google.golang.org/grpc/cmd/protoc-gen-go-grpc
PROTOC_GEN_GO_GRPC = "v1.6.0"


def set_up():
    """The block before the first heading, which makes the directory of the client."""
    return re.search(r"^```sh\n(.*?)^```$", page.split("\n## ")[0], re.M | re.S)[1]


def section(name):
    """Returns the shell block and the named files under a heading."""
    text = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", page, re.M | re.S)[1]
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", text, re.M | re.S)
    shell = "".join(body for language, body in blocks if language in ("sh", "console"))
    files = {}
    for language, body in blocks:
        if language not in ("sh", "console"):
            files[re.match(r"(?:#|//) (\S+)\n", body)[1]] = body
    return shell, files


class OwnClient(unittest.TestCase):
    def test_python(self):
        self.assertEqual(run("Python"), "Hello, you!")

    def test_node(self):
        self.assertEqual(run("Node"), "Hello, you!")

    def test_go(self):
        built = subprocess.run([foreign / "bin/own_client_go"], capture_output=True, text=True)
        self.assertEqual(built.stdout + built.stderr, "Hello, you!\n")

    def test_grpcurl(self):
        self.assertIn('"message": "Hello, you!"', run("grpcurl"))


def run(name):
    """Runs the commands of a section, and returns their output."""
    shell, files = section(name)
    return output(re.sub(r"^\$ ", "", shell, flags=re.M), files)


def build_go(program):
    shell, files = section("Go")
    for tool, version in ("go", PROTOC_GEN_GO), ("go-grpc", PROTOC_GEN_GO_GRPC):
        shell = shell.replace(f"protoc-gen-{tool}@latest", f"protoc-gen-{tool}@{version}")
    output(shell.replace("go run .", f"go build -o '{program}' ."), files)


def output(commands, files):
    with tempfile.TemporaryDirectory(prefix="greeter-own-") as folder:
        here = Path(folder)
        (here / "greeter").symlink_to(project)
        subprocess.run(["sh", "-euc", set_up()], cwd=here, check=True)
        here /= "client"
        (here / "node_modules").symlink_to(project / "node_modules")
        for file, text in files.items():
            (here / file).write_text(text)
        first = [here / "bin", Path(sys.executable).parent, foreign / "bin"]
        path = os.pathsep.join([*map(str, first), os.environ["PATH"]])
        ended = subprocess.run(
            ["sh", "-euc", INSTALLED + commands],
            cwd=here,
            env={**os.environ, "PATH": path, "GOBIN": str(here / "bin")},
            capture_output=True,
            text=True,
        )
    if ended.returncode != 0:
        raise AssertionError(f"exit code {ended.returncode}: {ended.stderr}")
    return ended.stdout.strip()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--build-go"]:
        build_go(sys.argv[2])
    else:
        run_tests()
