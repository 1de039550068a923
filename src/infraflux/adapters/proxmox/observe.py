"""What is there: one look at a Proxmox cluster, in as few calls as the answers need."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from infraflux.adapters.proxmox import privileges
from infraflux.adapters.proxmox.client import ProxmoxMissing, ProxmoxReader
from infraflux.adapters.proxmox.facts import Guest, Host, Observed, StorageOnHost
from infraflux.adapters.proxmox.hardware import Hardware, hardware_of
from infraflux.config.models import ClusterSpec
from infraflux.core.errors import InfrafluxError, Permanent

MIB = 1024**2
GIB = 1024**3
_VNET_PATH = re.compile(r"/sdn/zones/([^/]+)/([^/]+)(?:/\d+)?$")


def observe(reader: ProxmoxReader, spec: ClusterSpec) -> Observed:
    """Look at everything the preflight of this cluster judges. Raises Retryable or Permanent where that fails."""
    version = reader.read("version")
    resources = reader.read("cluster/resources")
    hosts = {row["node"]: row for row in resources if row["type"] == "node"}
    online = [host.name for host in spec.proxmox.hosts if hosts.get(host.name, {}).get("status") == "online"]
    granted = reader.read("access/permissions")
    seen = Observed(
        version=tuple(int(part) for part in str(version["version"]).split(".")[:2] if part.isdigit()),
        hosts={
            name: host_of_row(row, bridges_of(reader, name) if name in online else ())
            for name, row in sorted(hosts.items())
        },
        guests=guests_of(resources),
        storages={(one.host, one.name): one for one in storages_of(resources)},
        # Only a pool that the configuration names has to be there beforehand.
        pools=frozenset(str(row["poolid"]) for row in reader.read("pools")) if spec.proxmox.pool else frozenset(),
        privileges={path: frozenset(found) for path, found in granted.items()},
        not_inherited={
            path: frozenset(name for name, inherited in found.items() if not inherited)
            for path, found in granted.items()
        },
    )
    return replace(
        seen,
        zones=_zones(reader, spec, seen),
        taken_ids=_taken(reader, spec, seen),
        mappings=_mappings(reader) if any(node.pci_devices for node in spec.nodes) else None,
    )


def bridges_of(reader: ProxmoxReader, host: str) -> Iterable[Mapping[str, Any]]:
    """Bridges and VNets of a host; without that type Proxmox leaves VNets out. Nothing where it may not be read."""
    rows: Iterable[Mapping[str, Any]] = optional(reader, f"nodes/{host}/network", type="any_bridge") or ()
    return rows


def _zones(reader: ProxmoxReader, spec: ClusterSpec, seen: Observed) -> dict[str, str]:
    """The zone of each wanted network that is a VNet; asked only where one of them is on no host a plain bridge."""
    wanted = {bridge for bridge, _ in privileges.cards(spec)}
    plain = {bridge for host in seen.hosts.values() for bridge in host.bridges - host.vnets}
    if wanted <= plain:
        return {}
    rows = optional(reader, "cluster/sdn/vnets") or ()
    zones = {str(row["vnet"]): str(row["zone"]) for row in rows if row.get("zone")}
    for path in seen.privileges:  # a path names the zone to those who may use the VNet and not look at the SDN
        if match := _VNET_PATH.match(path):
            zones.setdefault(match[2], match[1])
    return {bridge: zones[bridge] for bridge in sorted(wanted & zones.keys())}


def _taken(reader: ProxmoxReader, spec: ClusterSpec, seen: Observed) -> frozenset[int]:
    """Wanted ids that something invisible has; `cluster/nextid` tells everybody whether an id is free."""
    if privileges.may_see_every_guest(seen):
        return frozenset()
    visible = {guest.vm_id for guest in seen.guests}
    return frozenset(
        node.vm_id for node in spec.nodes if node.vm_id not in visible and not _is_free(reader, node.vm_id)
    )


def _is_free(reader: ProxmoxReader, vm_id: int) -> bool:
    try:
        reader.read("cluster/nextid", vmid=vm_id)
    except Permanent as error:
        return "already exists" not in error.message
    return True


def _mappings(reader: ProxmoxReader) -> dict[str, frozenset[str]] | None:
    """Hosts of each PCI mapping the token may see."""
    rows = optional(reader, "cluster/mapping/pci")
    if rows is None:
        return None
    return {str(row["id"]): frozenset(_mapped_hosts(row.get("map") or ())) for row in rows}


def _mapped_hosts(entries: Iterable[str]) -> Iterator[str]:
    for entry in entries:
        yield from (part.removeprefix("node=") for part in str(entry).split(",") if part.startswith("node="))


def optional(reader: ProxmoxReader, path: str, **parameters: Any) -> Any:
    """The answer, or None where the token may not ask for it or this Proxmox has no such call."""
    try:
        return reader.read(path, **parameters)
    except InfrafluxError as error:
        if isinstance(error, Permanent) or " 501 " in error.message:
            return None
        raise


def observe_guests(reader: ProxmoxReader) -> tuple[Guest, ...]:
    """Only the guests: one call."""
    return guests_of(reader.read("cluster/resources", type="vm"))


def observe_hardware(reader: ProxmoxReader, guests: Iterable[Guest]) -> dict[int, Hardware]:
    """What each of these machines runs with, and what waits; one that has gone or moved meanwhile is left out."""
    found = {}
    for guest in guests:
        with suppress(ProxmoxMissing):
            found[guest.vm_id] = hardware_of(reader.read(f"nodes/{guest.host}/qemu/{guest.vm_id}/pending"))
    return found


def guests_of(resources: Iterable[Mapping[str, Any]]) -> tuple[Guest, ...]:
    """The guests among the rows of `cluster/resources`, by id."""
    found = [
        Guest(
            vm_id=int(row["vmid"]),
            name=str(row.get("name", "")),
            host=str(row["node"]),
            running=row.get("status") == "running",
            template=bool(row.get("template")),
            cores=int(row.get("maxcpu") or 0),
            memory_mib=int(row.get("maxmem") or 0) // MIB,
            # Older versions separate by comma, newer ones by semicolon.
            tags=frozenset(tag for tag in str(row.get("tags") or "").replace(",", ";").split(";") if tag),
            lock=str(row.get("lock") or ""),
        )
        for row in resources
        if row["type"] in ("qemu", "lxc")
    ]
    return tuple(sorted(found, key=lambda guest: guest.vm_id))


def host_of_row(row: Mapping[str, Any], network: Iterable[Mapping[str, Any]]) -> Host:
    kinds = {str(one["iface"]): str(one.get("type", "")).lower() for one in network}
    return Host(
        name=str(row["node"]),
        online=row.get("status") == "online",
        cores=int(row.get("maxcpu") or 0),
        memory_mib=int(row.get("maxmem") or 0) // MIB,
        used_mib=int(row.get("mem") or 0) // MIB,
        bridges=frozenset(name for name, kind in kinds.items() if kind in ("bridge", "ovsbridge", "vnet")),
        vnets=frozenset(name for name, kind in kinds.items() if kind == "vnet"),
    )


def storages_of(resources: Iterable[Mapping[str, Any]]) -> Iterable[StorageOnHost]:
    for row in resources:
        if row["type"] == "storage":
            yield StorageOnHost(
                name=str(row["storage"]),
                host=str(row["node"]),
                content=frozenset(str(row.get("content") or "").split(",")),
                free_gib=(int(row.get("maxdisk") or 0) - int(row.get("disk") or 0)) // GIB,
                shared=bool(int(row.get("shared") or 0)),
                active=row.get("status") == "available",
                kind=str(row.get("plugintype") or ""),
            )
