"""What runs, in which version, and whether it is the real thing."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from infraflux_lab.kubernetes.programs import PROGRAMS

_VERSION = re.compile(r"v?\d+\.\d+\.\d+\S*")
_TIMEOUT_S = 10.0
_NOTES = {
    "etcd": "one member per control plane, on its own address",
    "kwok": "plays the kubelets: pods become Ready without running anything",
}


@dataclass(frozen=True, kw_only=True)
class Part:
    """One line of `infraflux lab status`."""

    name: str
    version: str
    kind: Literal["real", "simulated"]
    note: str = ""


async def describe_programs(binaries: Mapping[str, Path]) -> list[Part]:
    """Ask each program for its version; one that is not there is said to be missing."""
    versions = await asyncio.gather(*(_version(binaries.get(name)) for name in PROGRAMS))
    return [
        Part(
            name=name,
            version=version,
            kind="simulated" if name == "kwok" else "real",
            note=_NOTES.get(name, ""),
        )
        for name, version in zip(PROGRAMS, versions, strict=True)
    ]


async def _version(binary: Path | None) -> str:
    if binary is None or not binary.exists():
        return "missing"
    process = await asyncio.create_subprocess_exec(
        str(binary), "--version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await asyncio.wait_for(process.communicate(), _TIMEOUT_S)
    found = _VERSION.search(output.decode(errors="replace"))
    return f"v{found.group().removeprefix('v')}" if found else "unknown"
