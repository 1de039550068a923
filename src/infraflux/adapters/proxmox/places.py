"""Storages, networks and devices: whether what the machines use is there, and where the token may not even look. Pure.

What is asked for is what is used: a storage on the hosts whose machines have a disk on it, a bridge on the hosts whose
machines have a card in it. A missing privilege is told once, as that: what it hides is not called missing too.
"""

from collections import defaultdict
from collections.abc import Iterator

from infraflux.adapters.proxmox import privileges
from infraflux.adapters.proxmox.facts import Observed
from infraflux.adapters.proxmox.finding import PreflightFinding
from infraflux.adapters.proxmox.orphans import placement
from infraflux.config.models import ClusterSpec, Node
from infraflux.core.errors import ErrorClass

Use = tuple[str, str, str]
"""Host, storage and the content it is to hold."""


def judge_storages(spec: ClusterSpec, observed: Observed) -> Iterator[PreflightFinding]:
    """Each storage on each host that uses it."""
    for host, name, content in sorted(set(_storage_uses(spec, observed))):
        seen = observed.hosts.get(host)
        if seen is None or not seen.online or not privileges.may_see_storage(observed, name):
            continue
        if problem := _storage_problem(observed, host, name, content):
            yield PreflightFinding(error_class=ErrorClass.CONFIG, message=problem)


def _storage_problem(observed: Observed, host: str, name: str, content: str) -> str:
    storage = observed.storages.get((host, name))
    if storage is None:
        there = sorted(on for on, of in observed.storages if of == name)
        return f"storage {name} does not exist on host {host}" + (f", only on {', '.join(there)}" if there else "")
    if not storage.active:
        return f"storage {name} on host {host} is not available"
    if content not in storage.content:
        allowed = ", ".join(sorted(storage.content))
        return f"storage {name} on host {host} does not allow content {content!r}, only {allowed}"
    return ""


def _storage_uses(spec: ClusterSpec, observed: Observed) -> Iterator[Use]:
    storage = spec.proxmox.storage
    for host in spec.proxmox.hosts:
        yield host.name, storage.images, "import"  # the image is brought to every host: any may get a machine
    for node, host_name in host_of(spec, observed):
        yield host_name, node.system_disk_storage or storage.disks, "images"
        yield host_name, storage.cloud_init or storage.disks, "images"
        for disk in node.data_disks:
            yield host_name, disk.storage or storage.disks, "images"


def host_of(spec: ClusterSpec, observed: Observed) -> Iterator[tuple[Node, str]]:
    """Each node and the host it is on, or is to be on: Proxmox HA may have moved it."""
    moved = placement(spec, observed.guests) if spec.proxmox.ha else {}
    for node in spec.nodes:
        yield node, moved.get(node.name, node.host)


def judge_networks(spec: ClusterSpec, observed: Observed) -> Iterator[PreflightFinding]:
    """Each bridge or VNet on each host whose machines have a card in it."""
    first = (spec.proxmox.bridge.name, spec.proxmox.bridge.vlan)
    wanted: dict[str, set[tuple[str, int | None]]] = defaultdict(set)
    for node, host_name in host_of(spec, observed):
        wanted[host_name] |= {first, *((nic.bridge, nic.vlan) for nic in node.nics)}
    for name, cards in sorted(wanted.items()):
        host = observed.hosts.get(name)
        if host is None or not host.online or not host.bridges:
            continue  # without Sys.Audit there is no list: that is a finding of its own
        there = ", ".join(sorted(host.bridges))
        hidden = {bridge for bridge, vlan in cards if not privileges.may_see_network(observed, bridge, vlan)}
        for bridge in sorted({bridge for bridge, _ in cards} - host.bridges - hidden):
            message = f"bridge {bridge} does not exist on host {name}, which has {there}"
            yield PreflightFinding(error_class=ErrorClass.CONFIG, message=message)


def judge_mappings(spec: ClusterSpec, observed: Observed) -> Iterator[PreflightFinding]:
    """Each PCI mapping on the host of the machine that uses it. Proxmox lists those the token may use."""
    if observed.mappings is None:
        return
    wanted = {(device.mapping, host) for node, host in host_of(spec, observed) for device in node.pci_devices}
    for mapping, host in sorted(wanted):
        if "Mapping.Use" not in privileges.effective(observed, f"/mapping/pci/{mapping}"):
            continue
        if mapping not in observed.mappings:
            known = ", ".join(sorted(observed.mappings)) or "none"
            message = f"PCI mapping {mapping} does not exist; Proxmox has {known}"
        elif host not in observed.mappings[mapping]:
            there = ", ".join(sorted(observed.mappings[mapping])) or "no host"
            message = f"PCI mapping {mapping} has no device on host {host}, only on {there}"
        else:
            continue
        yield PreflightFinding(error_class=ErrorClass.CONFIG, message=message)
