"""A control group per node, in whichever version of control groups this machine has.

Version 2: https://docs.kernel.org/admin-guide/cgroup-v2.html; version 1: https://docs.kernel.org/admin-guide/cgroup-v1/.
"""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Microseconds; the kernel's own default period.
CPU_PERIOD_US = 100_000
# Mount options that are no controller.
_GENERIC = frozenset({"rw", "ro", "relatime", "noatime", "nosuid", "nodev", "noexec", "xattr", "clone_children"})
# A group can be removed a moment after its last process has ended.
REMOVE_PATIENCE_S = 10.0
_POLL_S = 0.05
INSIDE = "/sys/fs/cgroup"
"""Where a node finds the hierarchies."""


@dataclass(frozen=True, kw_only=True)
class Hierarchy:
    """One mounted tree of control groups."""

    path: Path
    options: str
    """What `mount -o` wants of version 1 (`cpu,cpuacct`, `none,name=systemd`); empty for version 2."""


def hierarchies(mounts: str) -> list[Hierarchy]:
    """What /proc/mounts says; version 1 wins where both are mounted, because the controllers are there then."""
    rows = [line.split(" ") for line in mounts.splitlines()]
    first = [Hierarchy(path=Path(row[1]), options=_controllers(row[3])) for row in rows if row[2] == "cgroup"]
    if first:
        return first
    return [Hierarchy(path=Path(row[1]), options="") for row in rows if row[2] == "cgroup2"][:1]


def _controllers(options: str) -> str:
    words = [word for word in options.split(",") if word not in _GENERIC]
    named = next((word for word in words if word.startswith("name=")), None)
    return f"none,{named}" if named else ",".join(words)


def mounted() -> list[Hierarchy]:
    """The hierarchies of this machine."""
    return hierarchies(Path("/proc/mounts").read_text())


def kubelet_patch(found: Sequence[Hierarchy]) -> dict[str, Any]:
    """The machine config patch that a kubelet needs to start with version 1; empty for version 2.

    Since Kubernetes 1.35 it refuses version 1 unless told (KubeletConfiguration, failCgroupV1), and Talos gives it the
    directory of the hierarchies without what is mounted below.
    """
    mounts = [
        {"destination": str(path), "source": str(path), "type": "bind", "options": ["bind", "rw"]}
        for path in (Path(INSIDE, one.options.removeprefix("none,name=")) for one in found if one.options)
    ]
    if not mounts:
        return {}
    return {"machine": {"kubelet": {"extraConfig": {"failCgroupV1": False}, "extraMounts": mounts}}}


class Groups:
    """The groups of one lab: `<name>/<machine>` in each hierarchy."""

    def __init__(self, name: str, found: Sequence[Hierarchy]) -> None:
        self.name, self.found = name, found

    @property
    def version(self) -> int:
        return 1 if any(one.options for one in self.found) else 2

    def make(self, machine: str, *, cores: int, memory_mib: int) -> list[str]:
        """Groups with the machine's limits, one per hierarchy."""
        made = []
        for hierarchy in self.found:
            home = hierarchy.path / self.name
            _make(home, hierarchy)
            _make(home / machine, hierarchy)
            _limit(home / machine, cores=cores, memory_mib=memory_mib)
            made.append(str(home / machine))
        return made

    def remove(self, machine: str) -> None:
        """The machine's groups with all below; bounded, since what is left of it may still be ending."""
        for hierarchy in self.found:
            _remove(hierarchy.path / self.name / machine)

    def remove_all(self) -> None:
        """Every group of this lab."""
        for hierarchy in self.found:
            _remove(hierarchy.path / self.name)

    def left(self) -> list[str]:
        """Groups of this lab that exist."""
        return [str(one.path / self.name) for one in self.found if (one.path / self.name).exists()]


def _make(path: Path, hierarchy: Hierarchy) -> None:
    path.mkdir(exist_ok=True)
    if not hierarchy.options:
        # A child gets the controllers that its parent passes on.
        wanted = " ".join(f"+{name}" for name in (path.parent / "cgroup.controllers").read_text().split())
        with suppress(OSError):
            (path.parent / "cgroup.subtree_control").write_text(wanted)
    elif "cpuset" in hierarchy.options:
        # A group without processors and memory nodes takes no process; children of ours inherit them.
        for name in ("cpuset.cpus", "cpuset.mems"):
            (path / name).write_text((path.parent / name).read_text().strip())
        (path / "cgroup.clone_children").write_text("1")


def _limit(path: Path, *, cores: int, memory_mib: int) -> None:
    memory = str(memory_mib * 1024**2)
    quota = cores * CPU_PERIOD_US
    for name, value in {
        "memory.max": memory,
        "memory.limit_in_bytes": memory,
        "cpu.max": f"{quota} {CPU_PERIOD_US}",
        "cpu.cfs_quota_us": str(quota),
    }.items():
        if (path / name).exists():
            (path / name).write_text(value)


def _remove(path: Path) -> None:
    if not path.exists():
        return
    deadline = time.monotonic() + REMOVE_PATIENCE_S
    while path.exists() and time.monotonic() < deadline:
        # Files in a group cannot be removed and need not be: rmdir takes them along.
        for directory, _, _ in os.walk(path, topdown=False):
            with suppress(OSError):
                Path(directory).rmdir()
        if path.exists():
            time.sleep(_POLL_S)
