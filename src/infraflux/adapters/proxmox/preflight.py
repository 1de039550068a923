"""What would go wrong, found before anything is written. A pure function: every finding at once.

Conflicts with machines of others, missing privileges and hosts that are down; `places` judges what machines are put in
and plugged into, `capacity` what is too much.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from infraflux.adapters.proxmox import privileges
from infraflux.adapters.proxmox.capacity import judge_capacity
from infraflux.adapters.proxmox.facts import Guest, Observed
from infraflux.adapters.proxmox.finding import PreflightFinding
from infraflux.adapters.proxmox.orphans import is_unnamed
from infraflux.adapters.proxmox.places import judge_mappings, judge_networks, judge_storages
from infraflux.config.models import ClusterSpec, Node
from infraflux.core.errors import ErrorClass, Permanent

STAGE = "preflight"
MIN_VERSION = (8, 4)
"""Content type `import` and importing from it."""
MIN_VERSION_HA = (9, 0)
"""HA rules replaced HA groups."""


class PreflightFailed(Permanent):
    """At least one finding stops the plan."""


def judge_preflight(
    spec: ClusterSpec, observed: Observed, *, known: Collection[int] = ()
) -> tuple[PreflightFinding, ...]:
    """Everything that is wrong; `known`: VM ids of the cluster's own state."""
    judges: Sequence[Callable[[], Iterator[PreflightFinding]]] = (
        lambda: _versions(spec, observed),
        lambda: _privileges(spec, observed),
        lambda: _hosts(spec, observed),
        lambda: _identities(spec, observed, known=known),
        lambda: judge_networks(spec, observed),
        lambda: judge_storages(spec, observed),
        lambda: judge_mappings(spec, observed),
        lambda: judge_capacity(spec, observed),
    )
    return tuple(finding for judge in judges for finding in judge())


def require_passed(findings: Sequence[PreflightFinding], *, cluster: str) -> None:
    """Raises PreflightFailed with every fatal finding; returns where there is none."""
    fatal = [finding for finding in findings if finding.fatal]
    if fatal:
        raise PreflightFailed(
            "the preflight found:\n" + "\n".join(f"  - {finding.message} ({finding.error_class})" for finding in fatal),
            cluster=cluster,
            stage=STAGE,
            error_class=fatal[0].error_class,
            next_step=_grant(fatal, cluster) + "correct these, then run it again; nothing was changed",
        )


def _grant(fatal: Sequence[PreflightFinding], cluster: str) -> str:
    environment = cluster.partition("/")[0]
    command = f"paste on one host what `infraflux proxmox token {environment} --rights-only` prints; "
    return command if any(finding.missing_right for finding in fatal) else ""


def _versions(spec: ClusterSpec, observed: Observed) -> Iterator[PreflightFinding]:
    needed = MIN_VERSION_HA if spec.proxmox.ha else MIN_VERSION
    if observed.version < needed:
        found, wanted = (".".join(map(str, version)) for version in (observed.version, needed))
        why = "HA rules" if spec.proxmox.ha else "importing disk images"
        yield PreflightFinding(
            error_class=ErrorClass.CONFIG, message=f"Proxmox VE {found} is too old: {why} need {wanted} or later"
        )


def _privileges(spec: ClusterSpec, observed: Observed) -> Iterator[PreflightFinding]:
    for path, names in privileges.missing(spec, observed):
        yield PreflightFinding(
            error_class=ErrorClass.USER,
            message=f"API token {spec.proxmox.token.id} lacks {', '.join(sorted(names))} on {path}",
            missing_right=True,
        )
    may_see = "Pool.Audit" in privileges.effective(observed, f"/pool/{spec.pool_name}")
    if spec.proxmox.pool and may_see and spec.proxmox.pool not in observed.pools:
        yield PreflightFinding(
            error_class=ErrorClass.CONFIG,
            message=f"resource pool {spec.proxmox.pool} does not exist; leave proxmox.pool out to have one made",
        )


def _hosts(spec: ClusterSpec, observed: Observed) -> Iterator[PreflightFinding]:
    for host in spec.proxmox.hosts:
        seen = observed.hosts.get(host.name)
        if seen is None:
            if "Sys.Audit" not in privileges.effective(observed, f"/nodes/{host.name}"):
                continue  # said as that
            known = ", ".join(sorted(observed.hosts)) or "none"
            yield PreflightFinding(
                error_class=ErrorClass.CONFIG, message=f"host {host.name} does not exist; Proxmox has {known}"
            )
        elif not seen.online:
            yield PreflightFinding(error_class=ErrorClass.CAPACITY, message=f"host {host.name} is offline")


def _identities(spec: ClusterSpec, observed: Observed, *, known: Collection[int]) -> Iterator[PreflightFinding]:
    by_id = {guest.vm_id: guest for guest in observed.guests}
    by_name: Mapping[str, list[Guest]] = _grouped(observed.guests)
    for node in spec.nodes:
        guest = by_id.get(node.vm_id)
        if guest is not None and not _is(guest, node, spec, known) and not is_unnamed(guest):
            yield PreflightFinding(
                error_class=ErrorClass.CONFLICT,
                message=f"VM id {node.vm_id} of {node.name} belongs to {guest.name!r} on {guest.host},"
                f" which does not carry the tag {spec.ownership_tag}; it is left alone",
            )
        if guest is None and node.vm_id in observed.taken_ids and node.vm_id not in known:
            yield PreflightFinding(
                error_class=ErrorClass.CONFLICT,
                message=f"VM id {node.vm_id} of {node.name} belongs to a guest that API token {spec.proxmox.token.id}"
                " may not see (VM.Audit on /vms would show it); give the node another vm_id",
            )
        for other in by_name.get(node.name, ()):
            if other.vm_id != node.vm_id:
                yield PreflightFinding(
                    error_class=ErrorClass.CONFLICT,
                    message=f"the name {node.name} is taken by VM {other.vm_id} on {other.host}",
                )


def _is(guest: Guest, node: Node, spec: ClusterSpec, known: Collection[int]) -> bool:
    """Whether this guest is that node. A lost tag is drift, not a stranger, as long as the state knows the machine."""
    return (spec.ownership_tag in guest.tags and guest.name == node.name) or node.vm_id in known


def _grouped(guests: Sequence[Guest]) -> dict[str, list[Guest]]:
    grouped: dict[str, list[Guest]] = defaultdict(list)
    for guest in guests:
        grouped[guest.name].append(guest)
    return grouped
