"""What a machine must have to run real Talos nodes; everything that is missing is said at once."""

import os
import platform
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from infraflux_lab.talos_real import tree
from infraflux_lab.talos_real.images import ARCHITECTURES

GO_PROGRAMS = ("machined", "containerd", "containerd-shim-runc-v2")
"""Of the root file system."""
IMAGE_PROGRAMS = ("kubelet", "pause", "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
PROGRAMS = (*GO_PROGRAMS, *IMAGE_PROGRAMS)
TOOLS = {"ip": "iproute2", "nsenter": "util-linux", "ldd": "libc-bin"}
"""What the lab itself starts, with Debian's packages."""
CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21, "CAP_MKNOD": 27}
"""Bits of linux/capability.h: cables and bridges, mounts and namespaces, device nodes."""
FILE_SYSTEMS = ("overlay", "tmpfs", "proc", "sysfs")


@dataclass(frozen=True, kw_only=True)
class Host:
    """This machine, as far as nodes are concerned."""

    programs: Mapping[str, Path]
    packaged: Mapping[str, Path]
    cni: Path | None
    tools: Sequence[str]
    """Of TOOLS, those that are here."""
    capabilities: int
    file_systems: Sequence[str]
    architecture: str
    cgroups: int
    """Version of control groups; 0 where none are mounted."""


def look(programs: Mapping[str, Path], *, cgroups: int) -> Host:
    """Look at this machine."""
    packaged, cni = tree.find_packaged()
    status = Path("/proc/self/status").read_text()
    mask = re.search(r"^CapEff:\s+([0-9a-f]+)$", status, flags=re.MULTILINE)
    return Host(
        programs={name: path for name, path in programs.items() if path.exists()},
        packaged=packaged,
        cni=cni,
        tools=[name for name in TOOLS if shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")],
        capabilities=int(mask[1], 16) if mask else 0,
        file_systems=[line.split()[-1] for line in Path("/proc/filesystems").read_text().splitlines()],
        architecture=platform.machine(),
        cgroups=cgroups,
    )


def missing(host: Host) -> list[str]:
    """One sentence per thing that is missing, each with what to do about it."""
    found = []
    lacking = [name for name, bit in CAPABILITIES.items() if not host.capabilities & (1 << bit)]
    if lacking:
        found.append(f"real nodes need root; this process lacks {', '.join(lacking)}: use sudo")
    if host.architecture not in ARCHITECTURES:
        found.append(f"no recipe for {host.architecture}; there is one for {', '.join(ARCHITECTURES)}")
    programs = [name for name in PROGRAMS if name not in host.programs]
    if programs:
        found.append(f"not built: {', '.join(programs)}: infraflux tools install --group talos-real")
    packages = {*tree.missing_packages(host.packaged, host.cni)}
    packages |= {package for name, package in TOOLS.items() if name not in host.tools}
    if packages:
        found.append(f"packages are missing: apt-get install {' '.join(sorted(packages))}")
    systems = [name for name in FILE_SYSTEMS if name not in host.file_systems]
    if systems:
        found.append(f"the kernel lacks the file systems {', '.join(systems)}: modprobe {systems[0]}")
    if not host.cgroups:
        found.append("no control groups are mounted below /sys/fs/cgroup")
    return found


def may_lower_oom(host: Host) -> bool:
    """Whether a process' oom_score_adj may be lowered: CAP_SYS_RESOURCE, bit 24."""
    return bool(host.capabilities & (1 << 24))
