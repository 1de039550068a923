"""One look at somebody's Proxmox, before there is a configuration for it. Reads only."""

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

from infraflux.adapters.proxmox.client import ProxmoxReader
from infraflux.adapters.proxmox.facts import BridgedNetwork, Observed, Site
from infraflux.adapters.proxmox.observe import bridges_of, guests_of, host_of_row, optional, storages_of

KINDS = ("bridge", "ovsbridge", "vnet")


def look(reader: ProxmoxReader) -> Site:
    """Hosts, storages, networks, guests and pools. Raises Retryable or Permanent where that fails.

    What the token may not see is left out; `Site.observed.privileges` says what it may.
    """
    version = reader.read("version")
    resources = reader.read("cluster/resources")
    rows = {str(row["node"]): row for row in resources if row["type"] == "node"}
    interfaces = {name: list(bridges_of(reader, name)) for name, row in rows.items() if row.get("status") == "online"}
    granted = reader.read("access/permissions")
    observed = Observed(
        version=tuple(int(part) for part in str(version["version"]).split(".")[:2] if part.isdigit()),
        hosts={name: host_of_row(row, interfaces.get(name, ())) for name, row in sorted(rows.items())},
        guests=guests_of(resources),
        storages={(one.host, one.name): one for one in storages_of(resources)},
        pools=frozenset(str(row["poolid"]) for row in optional(reader, "pools") or ()),
        privileges={path: frozenset(found) for path, found in granted.items()},
        not_inherited={
            path: frozenset(name for name, inherited in found.items() if not inherited)
            for path, found in granted.items()
        },
    )
    status = optional(reader, "cluster/status") or ()
    return Site(
        endpoint=reader.access.endpoint,
        observed=observed,
        networks=tuple(_networks(interfaces)),
        cluster_name=next((str(row["name"]) for row in status if row["type"] == "cluster"), ""),
        ha=bool(optional(reader, "cluster/ha/resources")),
    )


def _networks(interfaces: Mapping[str, Iterable[Mapping[str, Any]]]) -> Iterator[BridgedNetwork]:
    """Each bridge and VNet once, with what its hosts say of it."""
    by_name: dict[str, dict[str, Mapping[str, Any]]] = {}
    for host, rows in interfaces.items():
        for row in rows:
            if str(row.get("type", "")).lower() in KINDS:
                by_name.setdefault(str(row["iface"]), {})[host] = row
    for name, seen in sorted(by_name.items()):
        own = [IPv4Interface(str(row["cidr"])) for row in seen.values() if _is_ipv4(row.get("cidr"))]
        gateways = [IPv4Address(str(row["gateway"])) for row in seen.values() if _is_ipv4(row.get("gateway"))]
        yield BridgedNetwork(
            name=name,
            hosts=frozenset(seen),
            vnet=all(str(row.get("type", "")).lower() == "vnet" for row in seen.values()),
            cidr=own[0].network if own else None,
            gateway=gateways[0] if gateways else None,
            addresses=frozenset(one.ip for one in own),
        )


def _is_ipv4(text: object) -> bool:
    try:
        IPv4Interface(str(text))
    except ValueError:
        return False
    return True
