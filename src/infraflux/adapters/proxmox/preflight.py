"""What would go wrong, found before anything is written. A pure function: every finding at once.

Conflicts with machines of others, missing privileges, hosts that are down, and capacity: memory counts every guest of a
host, also the stopped ones, because they may be started at any time.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from infraflux.adapters.proxmox import privileges
from infraflux.adapters.proxmox.facts import Guest, Observed
from infraflux.adapters.proxmox.orphans import is_unnamed, placement
from infraflux.config.models import ClusterSpec, Node
from infraflux.core.errors import ErrorClass, Permanent

STAGE = "preflight"
MIN_VERSION = (8, 4)
"""Content type `import` and importing from it."""
MIN_VERSION_HA = (9, 0)
"""HA rules replaced HA groups."""
HOST_RESERVE_MIB = 2048
"""What a Proxmox host itself needs at least."""


class PreflightFailed(Permanent):
    """At least one finding stops the plan."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is not as it must be (error) or should be (warning)."""

    error_class: ErrorClass
    message: str
    fatal: bool = True


def judge_preflight(spec: ClusterSpec, observed: Observed, *, known: Collection[int] = ()) -> tuple[Finding, ...]:
    """Everything that is wrong; `known`: VM ids of the cluster's own state."""
    judges: Sequence[Callable[[], Iterator[Finding]]] = (
        lambda: _versions(spec, observed),
        lambda: _privileges(spec, observed),
        lambda: _hosts(spec, observed),
        lambda: _identities(spec, observed, known=known),
        lambda: _networks(spec, observed),
        lambda: _storages(spec, observed),
        lambda: _memory(spec, observed),
        lambda: _host_loss(spec, observed),
    )
    return tuple(finding for judge in judges for finding in judge())


def require_passed(findings: Sequence[Finding], *, cluster: str) -> None:
    """Raises PreflightFailed with every fatal finding; returns where there is none."""
    fatal = [finding for finding in findings if finding.fatal]
    if fatal:
        raise PreflightFailed(
            "the preflight found:\n" + "\n".join(f"  - {finding.message} ({finding.error_class})" for finding in fatal),
            cluster=cluster,
            stage=STAGE,
            error_class=fatal[0].error_class,
            next_step="correct these, then run it again; nothing was changed",
        )


def _versions(spec: ClusterSpec, observed: Observed) -> Iterator[Finding]:
    needed = MIN_VERSION_HA if spec.proxmox.ha else MIN_VERSION
    if observed.version < needed:
        found, wanted = (".".join(map(str, version)) for version in (observed.version, needed))
        why = "HA rules" if spec.proxmox.ha else "importing disk images"
        yield Finding(
            error_class=ErrorClass.CONFIG, message=f"Proxmox VE {found} is too old: {why} need {wanted} or later"
        )


def _privileges(spec: ClusterSpec, observed: Observed) -> Iterator[Finding]:
    for path, names in privileges.missing(spec, observed.privileges):
        yield Finding(
            error_class=ErrorClass.USER,
            message=f"API token {spec.proxmox.token.id} lacks {', '.join(sorted(names))} on {path}",
        )
    if spec.proxmox.pool and spec.proxmox.pool not in observed.pools:
        yield Finding(
            error_class=ErrorClass.CONFIG,
            message=f"resource pool {spec.proxmox.pool} does not exist; leave proxmox.pool out to have one made",
        )


def _hosts(spec: ClusterSpec, observed: Observed) -> Iterator[Finding]:
    for host in spec.proxmox.hosts:
        seen = observed.hosts.get(host.name)
        if seen is None:
            known = ", ".join(sorted(observed.hosts)) or "none"
            yield Finding(
                error_class=ErrorClass.CONFIG, message=f"host {host.name} does not exist; Proxmox has {known}"
            )
        elif not seen.online:
            yield Finding(error_class=ErrorClass.CAPACITY, message=f"host {host.name} is offline")
    for node in spec.nodes:
        seen = observed.hosts.get(node.host)
        if seen and seen.online and node.cores > seen.cores:
            yield Finding(
                error_class=ErrorClass.CAPACITY,
                message=f"{node.name} wants {node.cores} cores, host {node.host} has {seen.cores}",
            )


def _identities(spec: ClusterSpec, observed: Observed, *, known: Collection[int]) -> Iterator[Finding]:
    by_id = {guest.vm_id: guest for guest in observed.guests}
    by_name: Mapping[str, list[Guest]] = _grouped(observed.guests)
    for node in spec.nodes:
        guest = by_id.get(node.vm_id)
        if guest is not None and not _is(guest, node, spec, known) and not is_unnamed(guest):
            yield Finding(
                error_class=ErrorClass.CONFLICT,
                message=f"VM id {node.vm_id} of {node.name} belongs to {guest.name!r} on {guest.host},"
                f" which does not carry the tag {spec.ownership_tag}; it is left alone",
            )
        for other in by_name.get(node.name, ()):
            if other.vm_id != node.vm_id:
                yield Finding(
                    error_class=ErrorClass.CONFLICT,
                    message=f"the name {node.name} is taken by VM {other.vm_id} on {other.host}",
                )


def _is(guest: Guest, node: Node, spec: ClusterSpec, known: Collection[int]) -> bool:
    """Whether this guest is that node. A lost tag is drift, not a stranger, as long as the state knows the machine."""
    return (spec.ownership_tag in guest.tags and guest.name == node.name) or node.vm_id in known


def _networks(spec: ClusterSpec, observed: Observed) -> Iterator[Finding]:
    wanted: dict[str, set[str]] = defaultdict(set)
    for node in spec.nodes:
        wanted[node.host] |= {spec.proxmox.bridge.name, *(nic.bridge for nic in node.nics)}
    for name, bridges in sorted(wanted.items()):
        host = observed.hosts.get(name)
        # Without Sys.Audit the list is empty: that is a finding of its own.
        if host and host.online and host.bridges:
            there = ", ".join(sorted(host.bridges))
            for bridge in sorted(bridges - host.bridges):
                yield Finding(
                    error_class=ErrorClass.CONFIG,
                    message=f"bridge {bridge} does not exist on host {name}, which has {there}",
                )


def _storages(spec: ClusterSpec, observed: Observed) -> Iterator[Finding]:
    names = spec.proxmox.storage
    purposes = [("images", names.disks), ("import", names.images), ("images", names.cloud_init or names.disks)]
    purposes += [("images", disk.storage) for node in spec.nodes for disk in node.data_disks if disk.storage]
    for host in spec.proxmox.hosts:
        seen = observed.hosts.get(host.name)
        if seen is None or not seen.online:
            continue
        for content, name in sorted(set(purposes)):
            storage = observed.storages.get((host.name, name))
            if storage is None:
                problem = f"storage {name} does not exist on host {host.name}"
            elif not storage.active:
                problem = f"storage {name} on host {host.name} is not available"
            elif content not in storage.content:
                allowed = ", ".join(sorted(storage.content))
                problem = f"storage {name} on host {host.name} does not allow content {content!r}, only {allowed}"
            else:
                continue
            yield Finding(error_class=ErrorClass.CONFIG, message=problem)
    yield from _space(spec, observed)


def _space(spec: ClusterSpec, observed: Observed) -> Iterator[Finding]:
    """Space for the machines that are not there yet; a shared storage counts once."""
    present = {guest.vm_id for guest in observed.guests}
    wanted: dict[tuple[str, str], int] = defaultdict(int)
    for node in spec.nodes:
        if node.vm_id in present:
            continue
        disks = [(spec.proxmox.storage.disks, node.system_disk_gib)]
        disks += [(disk.storage or spec.proxmox.storage.disks, disk.size_gib) for disk in node.data_disks]
        for name, gib in disks:
            storage = observed.storages.get((node.host, name))
            wanted["(shared)" if storage and storage.shared else node.host, name] += gib
    for (host, name), gib in sorted(wanted.items()):
        free = [one.free_gib for (on, of), one in observed.storages.items() if of == name and host in (on, "(shared)")]
        if free and gib > min(free):
            where = "" if host == "(shared)" else f" on host {host}"
            yield Finding(
                error_class=ErrorClass.CAPACITY,
                message=f"storage {name}{where} has {min(free)} GiB free, new machines need {gib} GiB",
            )


def _memory(spec: ClusterSpec, observed: Observed) -> Iterator[Finding]:
    used = _memory_by_host(spec, observed)
    for name, mib in sorted(used.items()):
        host = observed.hosts.get(name)
        if host and host.online and mib + HOST_RESERVE_MIB > host.memory_mib:
            yield Finding(
                error_class=ErrorClass.CAPACITY,
                message=f"host {name} has {host.memory_mib} MiB memory; its guests and the new machines"
                f" need {mib} MiB, the host itself {HOST_RESERVE_MIB} MiB",
            )


def _host_loss(spec: ClusterSpec, observed: Observed) -> Iterator[Finding]:
    """Whether the rest can carry everything when the fullest host fails; only where HA would try."""
    hosts = [host for host in observed.hosts.values() if host.online and host.name in _names(spec)]
    if not spec.proxmox.ha or len(hosts) < 2:
        return
    used = _memory_by_host(spec, observed)
    total = sum(used.get(host.name, 0) + HOST_RESERVE_MIB for host in hosts)
    for lost in hosts:
        left = sum(host.memory_mib for host in hosts if host is not lost)
        if total - HOST_RESERVE_MIB > left:
            yield Finding(
                error_class=ErrorClass.CAPACITY,
                message=f"without host {lost.name} the others have {left} MiB memory for {total} MiB:"
                " Proxmox HA could not restart everything",
                fatal=False,
            )
            return


def _memory_by_host(spec: ClusterSpec, observed: Observed) -> dict[str, int]:
    ours = {node.vm_id for node in spec.nodes}
    used: dict[str, int] = defaultdict(int)
    for guest in observed.guests:
        if guest.vm_id not in ours and not guest.template:
            used[guest.host] += guest.memory_mib
    moved = placement(spec, observed.guests) if spec.proxmox.ha else {}
    for node in spec.nodes:
        used[moved.get(node.name, node.host)] += node.memory_mib
    return used


def _names(spec: ClusterSpec) -> set[str]:
    return {host.name for host in spec.proxmox.hosts}


def _grouped(guests: Sequence[Guest]) -> dict[str, list[Guest]]:
    grouped: dict[str, list[Guest]] = defaultdict(list)
    for guest in guests:
        grouped[guest.name].append(guest)
    return grouped
