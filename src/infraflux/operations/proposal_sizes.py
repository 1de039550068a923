"""How many machines of which template a site can carry. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from infraflux.adapters.proxmox.capacity import HOST_RESERVE_MIB
from infraflux.adapters.proxmox.facts import Observed

SHARE = 0.75
"""Of what is free now: the rest is for guests that come or grow."""
CONTROL_PLANES = 3
MOST_WORKERS = 3


class Unfit(Exception):
    """The site has no room for it, or lacks it; says what and what to do."""


@dataclass(frozen=True, kw_only=True)
class PoolSize:
    """One machine of a template's pool."""

    cores: int
    memory_mib: int
    disk_gib: int


@dataclass(frozen=True, kw_only=True)
class Sized:
    """A template and how many machines of it."""

    name: str
    control_planes: int
    workers: int
    why: str = ""


def choose_size(
    observed: Observed, hosts: Sequence[str], disks: str, wanted: str, sizes: Mapping[str, Mapping[str, PoolSize]]
) -> Sized:
    """The largest template that fits with a worker on each host, else one whose control planes take the workloads."""
    if wanted and wanted not in sizes:
        raise Unfit(f"there is no size {wanted}; there are {', '.join(sizes)}")
    order = [wanted] if wanted else sorted(sizes, key=lambda one: _memory(sizes[one]), reverse=True)
    control_planes = CONTROL_PLANES if len(hosts) >= CONTROL_PLANES else 1
    refused: list[str] = []
    for workers in (min(len(hosts), MOST_WORKERS), 0):
        for name in order:
            sized = Sized(name=name, control_planes=control_planes, workers=workers)
            short = _short_of(observed, hosts, disks, sized, sizes[name])
            if not short:
                return Sized(name=name, control_planes=control_planes, workers=workers, why=_why(sized, hosts, refused))
            refused.append(f"{name} {'without' if not workers else 'with'} workers: {short}")
    raise Unfit(f"no size fits: {'; '.join(refused)}")


def _memory(pools: Mapping[str, PoolSize]) -> int:
    return sum(pool.memory_mib for pool in pools.values())


def _why(sized: Sized, hosts: Sequence[str], refused: Sequence[str]) -> str:
    how = "three control planes, one host each" if sized.control_planes > 1 else "one control plane"
    if sized.control_planes == 1:
        there = f"{len(hosts)} host{'s' if len(hosts) > 1 else ''}"
        how += f": more of them on {there} would not survive the loss of one either"
    workers = f"{sized.workers} workers" if sized.workers > 1 else "a worker" if sized.workers else ""
    carry = f"and {workers}, one on each host" if workers else "that take the workloads"
    return f"the largest that leaves a quarter of the free memory; {how}, {carry}" + (
        f". Not {refused[-1]}" if refused else ""
    )


def _short_of(observed: Observed, hosts: Sequence[str], disks: str, sized: Sized, pools: Mapping[str, PoolSize]) -> str:
    """What the first host that cannot carry its part lacks; empty where all can. The fullest part is the first's."""
    parts = [pools["cp"], *([pools["worker"]] if sized.workers else [])]
    memory, disk = sum(one.memory_mib for one in parts), sum(one.disk_gib for one in parts)
    cores = max(one.cores for one in parts)
    for name in hosts:
        host, storage = observed.hosts[name], observed.storages[name, disks]
        guests = sum(one.memory_mib for one in observed.guests if one.host == name and not one.template)
        free = int((host.memory_mib - HOST_RESERVE_MIB - guests) * SHARE)
        if memory > free:
            return f"{memory} MiB on {name}, which has {max(free, 0)} MiB to give"
        if cores > host.cores:
            return f"{cores} cores on {name}, which has {host.cores}"
        count = len(hosts) if storage.shared else 1
        if disk * count > storage.free_gib * SHARE:
            return f"{disk * count} GiB on {disks}, which has {int(storage.free_gib * SHARE)} GiB to give"
    return ""
