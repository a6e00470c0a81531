"""Unpacks Kubernetes' strict JSON schemas: kubernetes_schemas.py WHEEL FOLDER VERSION...

WHEEL is PyPI's kubernetes-validate. Each version becomes a folder in FOLDER.
"""

import json
import pathlib
import sys
import zipfile


def unpack(wheel: str, folder: str, versions: list[str]) -> None:
    with zipfile.ZipFile(wheel) as files:
        for version in versions:
            names = [name for name in files.namelist() if f"/{version}-local-strict/" in name]
            if not names:
                sys.exit(f"Cannot unpack schemas: {wheel} has none of {version}")
            out = pathlib.Path(folder, version)
            out.mkdir(parents=True)
            for name in names:
                (out / pathlib.Path(name).name).write_bytes(local(files.read(name)))


def local(schema: bytes) -> bytes:
    """With $refs to the file beside it: theirs begin at the root of a web server."""
    content = json.loads(schema.replace(b'"/api/', b'"'))
    content.pop("$id", None)
    return json.dumps(content).encode()


if __name__ == "__main__":
    unpack(sys.argv[1], sys.argv[2], sys.argv[3:])
