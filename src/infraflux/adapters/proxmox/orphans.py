"""Machines of ours that no state knows, and the reverse. A pure comparison of three lists by VM id."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from infraflux.adapters.proxmox.facts import Guest
from infraflux.config.models import ClusterSpec


@dataclass(frozen=True, kw_only=True)
class Orphans:
    """What Proxmox and the state disagree about, for one cluster."""

    adoptable: tuple[Guest, ...] = ()
    """Carry our tag, id and name of a declared node: an interrupted run made them, the next plan takes them over."""
    stray: tuple[Guest, ...] = ()
    """Carry our tag but are no declared node: only a person decides to remove them."""
    being_made: tuple[Guest, ...] = ()
    """A Proxmox task still works on them: wait for it."""
    unnamed: tuple[Guest, ...] = ()
    """At ids of ours, and Proxmox has only begun to make them: name and tag, and so whose they are, come at the end."""
    vanished: tuple[str, ...] = ()
    """Names of machines that the state knows and Proxmox does not: the next plan makes them again."""

    @property
    def adopt(self) -> Mapping[str, str]:
        """Terraform's import ids, `<host>/<vm id>`, by node."""
        return {guest.name: f"{guest.host}/{guest.vm_id}" for guest in self.adoptable}

    def __bool__(self) -> bool:
        return bool(self.adoptable or self.stray or self.being_made or self.unnamed or self.vanished)


def find_orphans(spec: ClusterSpec, *, guests: Iterable[Guest], known: Mapping[int, str]) -> Orphans:
    """Compare what there is with what the state knows (`known`: name by VM id)."""
    guests = tuple(guests)
    unknown = [guest for guest in guests if spec.ownership_tag in guest.tags and guest.vm_id not in known]
    declared = {node.vm_id: node.name for node in spec.nodes}
    present = {guest.vm_id for guest in guests}
    return Orphans(
        adoptable=tuple(guest for guest in unknown if declared.get(guest.vm_id) == guest.name and not guest.lock),
        being_made=tuple(guest for guest in unknown if declared.get(guest.vm_id) == guest.name and guest.lock),
        unnamed=tuple(
            guest for guest in guests if guest.vm_id in declared and guest.vm_id not in known and is_unnamed(guest)
        ),
        stray=tuple(guest for guest in unknown if declared.get(guest.vm_id) != guest.name),
        vanished=tuple(sorted(name for vm_id, name in known.items() if vm_id not in present)),
    )


def is_unnamed(guest: Guest) -> bool:
    """Whether Proxmox has only begun to make this guest: until its disks are there, its configuration is a lock."""
    return guest.lock == "create" and not guest.tags


def placement(spec: ClusterSpec, guests: Collection[Guest]) -> dict[str, str]:
    """Where our machines are now, host by node, for those that are on another host than the configuration says."""
    where = {(guest.vm_id, guest.name): guest.host for guest in guests if spec.ownership_tag in guest.tags}
    return {
        node.name: host for node in spec.nodes if (host := where.get((node.vm_id, node.name), node.host)) != node.host
    }
