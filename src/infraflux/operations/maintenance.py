"""Which machines are off for the maintenance of their host, in a file of the cluster.

The mark on the Node object says so too, and nobody can read it while the API server is the one that is off, or while
its virtual address moves to another machine.
"""

import json
from contextlib import suppress
from pathlib import Path

from infraflux.core.files import write_private

FILE = "maintenance.json"


def in_maintenance(directory: Path) -> frozenset[str]:
    """Names of the nodes; `directory` is the cluster's state."""
    with suppress(OSError, ValueError):
        return frozenset(str(name) for name in json.loads((directory / FILE).read_text())["nodes"])
    return frozenset()


def begin(directory: Path, node: str) -> None:
    """Remember one before it goes off."""
    _write(directory, in_maintenance(directory) | {node})


def end(directory: Path, node: str) -> None:
    """Forget one that is in service again."""
    _write(directory, in_maintenance(directory) - {node})


def forget(directory: Path) -> None:
    """Nothing is left of the cluster."""
    (directory / FILE).unlink(missing_ok=True)


def _write(directory: Path, nodes: frozenset[str]) -> None:
    write_private(directory / FILE, json.dumps({"nodes": sorted(nodes)}) + "\n")
