"""Cores, memory and space: what is too much, and what would fit. Pure.

Memory counts every guest of a host, also the stopped ones, because they may be started at any time. A token that may
not see the machines of others counts at least what the host uses right now.
"""

from collections import defaultdict
from collections.abc import Iterator

from infraflux.adapters.proxmox import privileges
from infraflux.adapters.proxmox.facts import Host, Observed, StorageOnHost
from infraflux.adapters.proxmox.finding import PreflightFinding
from infraflux.adapters.proxmox.places import host_of
from infraflux.config.models import ClusterSpec, Node
from infraflux.core.errors import ErrorClass

HOST_RESERVE_MIB = 2048
"""What a Proxmox host itself needs at least."""
STEP_MIB = 256
"""Sizes that are proposed are multiples of it."""


def judge_capacity(spec: ClusterSpec, observed: Observed) -> Iterator[PreflightFinding]:
    yield from _cores(spec, observed)
    yield from _space(spec, observed)
    yield from _memory(spec, observed)
    yield from _host_loss(spec, observed)


def _cores(spec: ClusterSpec, observed: Observed) -> Iterator[PreflightFinding]:
    for node in spec.nodes:
        seen = observed.hosts.get(node.host)
        if seen and seen.online and 0 < seen.cores < node.cores:
            bigger = [
                f"{host.name} ({host.cores})" for host in _others(spec, observed, seen) if host.cores >= node.cores
            ]
            fits = f"{seen.cores} would fit" + (f", or a host with more: {', '.join(bigger)}" if bigger else "")
            message = f"{node.name} wants {node.cores} cores, host {node.host} has {seen.cores}: {fits}"
            yield PreflightFinding(error_class=ErrorClass.CAPACITY, message=message)


def _others(spec: ClusterSpec, observed: Observed, but: Host) -> list[Host]:
    """The other hosts of the environment that are up."""
    found = [observed.hosts[host.name] for host in spec.proxmox.hosts if host.name in observed.hosts]
    return [host for host in found if host.online and host.name != but.name]


def _space(spec: ClusterSpec, observed: Observed) -> Iterator[PreflightFinding]:
    """Space for the machines that are not there yet; a shared storage counts once."""
    new = _new_disks(spec, observed)
    for (host, name), disks in sorted(new.items()):
        gib, there = sum(disks), _places_of(observed, name)
        free = [one.free_gib for one in there if host in (one.host, SHARED)]
        if free and gib > min(free):
            left = {one.host: one.free_gib - sum(new.get((one.host, name), ())) for one in there if one.host != host}
            room = ", ".join(f"{on} ({free} GiB)" for on, free in left.items() if free >= min(disks) and host != SHARED)
            yield PreflightFinding(
                error_class=ErrorClass.CAPACITY,
                message=f"storage {name}{'' if host == SHARED else f' on host {host}'} has {min(free)} GiB free,"
                f" new machines need {gib} GiB: {_fitting_disks(len(disks), min(free))}"
                + (f", or one of them on another host: {room}" if room else ""),
            )


SHARED = "(shared)"


def _new_disks(spec: ClusterSpec, observed: Observed) -> dict[tuple[str, str], list[int]]:
    """Sizes of the disks that are to be made, by host and storage."""
    present = {guest.vm_id for guest in observed.guests}
    disks: dict[tuple[str, str], list[int]] = defaultdict(list)
    for node in spec.nodes:
        if node.vm_id in present:
            continue
        own = spec.proxmox.storage.disks
        system = node.system_disk_storage or own
        for name, gib in [(system, node.system_disk_gib), *((d.storage or own, d.size_gib) for d in node.data_disks)]:
            storage = observed.storages.get((node.host, name))
            disks[SHARED if storage and storage.shared else node.host, name].append(gib)
    return disks


def _places_of(observed: Observed, name: str) -> list[StorageOnHost]:
    return [one for (_, of), one in sorted(observed.storages.items()) if of == name]


def _fitting_disks(count: int, free: int) -> str:
    each = max(free, 0) // count
    if each == 0:
        return "none of them would fit"
    return f"{each} GiB would fit" if count == 1 else f"{count} disks of {each} GiB would fit"


def _memory(spec: ClusterSpec, observed: Observed) -> Iterator[PreflightFinding]:
    foreign, ours = _foreign_mib(spec, observed), _ours(spec, observed)
    for name in sorted(ours):
        host = observed.hosts.get(name)
        mib = foreign[name] + sum(node.memory_mib for node in ours[name])
        if not host or not host.online or not host.memory_mib or mib + HOST_RESERVE_MIB <= host.memory_mib:
            continue
        room = {
            other.name: other.memory_mib
            - HOST_RESERVE_MIB
            - foreign[other.name]
            - sum(node.memory_mib for node in ours.get(other.name, ()))
            for other in _others(spec, observed, host)
        }
        yield PreflightFinding(
            error_class=ErrorClass.CAPACITY,
            message=f"host {name} has {host.memory_mib} MiB memory; its guests and the new machines"
            f" need {mib} MiB, the host itself {HOST_RESERVE_MIB} MiB: "
            + _fitting_memory(ours[name], host.memory_mib - HOST_RESERVE_MIB - foreign[name], room),
        )


def _fitting_memory(nodes: list[Node], free: int, room: dict[str, int]) -> str:
    """What the machines of one host may have, and where one of them would have room as it is."""
    names = ", ".join(node.name for node in nodes)
    each = max(free, 0) // len(nodes) // STEP_MIB * STEP_MIB
    fits = f"{each} MiB for each of {names} would fit" if each else f"nothing is left for {names}"
    smallest = min(node.memory_mib for node in nodes)
    with_room = [f"{name} ({mib} MiB)" for name, mib in sorted(room.items()) if mib >= smallest]
    return fits + (f", or one of them on another host: {', '.join(with_room)}" if with_room else "")


def _host_loss(spec: ClusterSpec, observed: Observed) -> Iterator[PreflightFinding]:
    """Whether the rest can carry everything when the fullest host fails; only where HA would try."""
    names = {host.name for host in spec.proxmox.hosts}
    hosts = [host for host in observed.hosts.values() if host.online and host.name in names]
    if not spec.proxmox.ha or len(hosts) < 2:
        return
    foreign, ours = _foreign_mib(spec, observed), _ours(spec, observed)
    used = sum(foreign[host.name] + sum(node.memory_mib for node in ours.get(host.name, ())) for host in hosts)
    total = used + HOST_RESERVE_MIB * len(hosts)
    for lost in hosts:
        left = sum(host.memory_mib for host in hosts if host is not lost)
        if total - HOST_RESERVE_MIB > left:
            yield PreflightFinding(
                error_class=ErrorClass.CAPACITY,
                message=f"without host {lost.name} the others have {left} MiB memory for {total} MiB:"
                f" Proxmox HA could not restart everything; {total - HOST_RESERVE_MIB - left} MiB less would fit",
                fatal=False,
            )
            return


def _ours(spec: ClusterSpec, observed: Observed) -> dict[str, list[Node]]:
    """The cluster's nodes by the host they are on or are to be on."""
    found: dict[str, list[Node]] = defaultdict(list)
    for node, host in host_of(spec, observed):
        found[host].append(node)
    return found


def _foreign_mib(spec: ClusterSpec, observed: Observed) -> dict[str, int]:
    """Memory that somebody else's guests have or may have, by host."""
    ours = {node.vm_id for node in spec.nodes}
    foreign: dict[str, int] = defaultdict(int)
    running: dict[str, int] = defaultdict(int)
    for guest in observed.guests:
        if guest.vm_id in ours:
            running[guest.host] += guest.memory_mib if guest.running else 0
        elif not guest.template:
            foreign[guest.host] += guest.memory_mib
    if not privileges.may_see_every_guest(observed):
        for host in observed.hosts.values():
            foreign[host.name] = max(foreign[host.name], host.used_mib - running[host.name] - HOST_RESERVE_MIB)
    return foreign
