"""Generates stubs with grpc_tools.protoc, as the reader of a guide does."""

import importlib
import subprocess
import sys
import tempfile

from harness import project

_folder = tempfile.TemporaryDirectory(prefix="greeter-stubs-")
sys.path.insert(0, _folder.name)


def stubs(name, folder="."):
    """Generates and imports NAME_pb2 and NAME_pb2_grpc from NAME.proto in a folder of proto/."""
    root = project / "proto" / folder
    out = _folder.name
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", "-I", root]
        + [f"--python_out={out}", f"--grpc_python_out={out}", root / f"{name}.proto"],
        check=True,
    )
    importlib.invalidate_caches()
    return importlib.import_module(f"{name}_pb2"), importlib.import_module(f"{name}_pb2_grpc")
