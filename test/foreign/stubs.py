"""Stubs as a guide's reader makes them: by grpc_tools.protoc, with nothing of ours in them."""

import importlib
import subprocess
import sys
import tempfile

from harness import project

_folder = tempfile.TemporaryDirectory(prefix="greeter-stubs-")
sys.path.insert(0, _folder.name)


def stubs(name, folder="."):
    """The modules NAME_pb2 and NAME_pb2_grpc, made of NAME.proto in a folder of proto/."""
    root = project / "proto" / folder
    out = _folder.name
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", "-I", root]
        + [f"--python_out={out}", f"--grpc_python_out={out}", root / f"{name}.proto"],
        check=True,
    )
    importlib.invalidate_caches()
    return importlib.import_module(f"{name}_pb2"), importlib.import_module(f"{name}_pb2_grpc")
