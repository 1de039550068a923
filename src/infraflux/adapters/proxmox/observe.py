"""What is there: one look at a Proxmox cluster, in as few calls as the answers need."""

from collections.abc import Iterable, Mapping
from typing import Any

from infraflux.adapters.proxmox.client import ProxmoxReader
from infraflux.adapters.proxmox.facts import Guest, Host, Observed, StorageOnHost
from infraflux.config.models import ClusterSpec

MIB = 1024**2
GIB = 1024**3


def observe(reader: ProxmoxReader, spec: ClusterSpec) -> Observed:
    """Look at everything the preflight of this cluster judges. Raises Retryable or Permanent where that fails."""
    version = reader.read("version")
    resources = reader.read("cluster/resources")
    hosts = {row["node"]: row for row in resources if row["type"] == "node"}
    online = [host.name for host in spec.proxmox.hosts if hosts.get(host.name, {}).get("status") == "online"]
    return Observed(
        version=tuple(int(part) for part in str(version["version"]).split(".")[:2] if part.isdigit()),
        hosts={
            name: _host(row, reader.read(f"nodes/{name}/network") if name in online else ())
            for name, row in sorted(hosts.items())
        },
        guests=guests_of(resources),
        storages={(one.host, one.name): one for one in _storages(resources)},
        # Only a pool that the configuration names has to be there beforehand.
        pools=frozenset(str(row["poolid"]) for row in reader.read("pools")) if spec.proxmox.pool else frozenset(),
        privileges={path: frozenset(found) for path, found in reader.read("access/permissions").items()},
    )


def observe_guests(reader: ProxmoxReader) -> tuple[Guest, ...]:
    """Only the guests: one call."""
    return guests_of(reader.read("cluster/resources", type="vm"))


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


def _host(row: Mapping[str, Any], network: Iterable[Mapping[str, Any]]) -> Host:
    return Host(
        name=str(row["node"]),
        online=row.get("status") == "online",
        cores=int(row.get("maxcpu") or 0),
        memory_mib=int(row.get("maxmem") or 0) // MIB,
        bridges=frozenset(
            str(interface["iface"])
            for interface in network
            if str(interface.get("type", "")).lower() in ("bridge", "ovsbridge", "vnet")
        ),
    )


def _storages(resources: Iterable[Mapping[str, Any]]) -> Iterable[StorageOnHost]:
    for row in resources:
        if row["type"] == "storage":
            yield StorageOnHost(
                name=str(row["storage"]),
                host=str(row["node"]),
                content=frozenset(str(row.get("content") or "").split(",")),
                free_gib=(int(row.get("maxdisk") or 0) - int(row.get("disk") or 0)) // GIB,
                shared=bool(int(row.get("shared") or 0)),
                active=row.get("status") == "available",
            )
