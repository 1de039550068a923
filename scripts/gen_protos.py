"""Generate the Python modules of the lab's Talos protocol from lab/src/infraflux_lab/talos/proto/*.proto.

The result is committed, so that grpcio-tools is needed only by whoever changes a .proto file:

    uv run scripts/gen_protos.py
"""

import sys
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

SRC = Path(__file__).resolve().parent.parent / "lab" / "src"
PROTO = SRC / "infraflux_lab" / "talos" / "proto"


def main() -> int:
    """Run protoc over every .proto file; the exit code is protoc's."""
    well_known = files("grpc_tools") / "_proto"
    sources = sorted(str(path) for path in PROTO.glob("*.proto"))
    return int(protoc.main(["protoc", f"-I{SRC}", f"-I{well_known}", f"--python_out={SRC}", *sources]))


if __name__ == "__main__":
    sys.exit(main())
