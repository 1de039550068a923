"""What a Proxmox cluster shows, as facts: hosts, guests, storages. No client, no call."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network


@dataclass(frozen=True, kw_only=True)
class Host:
    """A Proxmox node."""

    name: str
    online: bool
    cores: int = 0
    memory_mib: int = 0
    """0 where the token may not see it."""
    used_mib: int = 0
    """What is used of it right now, by whomever."""
    bridges: frozenset[str] = frozenset()
    """Bridges and VNets that the token may see."""
    vnets: frozenset[str] = frozenset()
    """Those of them that are VNets of the SDN."""


@dataclass(frozen=True, kw_only=True)
class Guest:
    """A VM or container, ours or anybody's."""

    vm_id: int
    name: str
    host: str
    running: bool = False
    template: bool = False
    cores: int = 0
    memory_mib: int = 0
    tags: frozenset[str] = frozenset()
    lock: str = ""


@dataclass(frozen=True, kw_only=True)
class StorageOnHost:
    """A storage as one host sees it."""

    name: str
    host: str
    content: frozenset[str]
    free_gib: int
    shared: bool = False
    active: bool = True
    kind: str = ""
    """Proxmox' plugin: `zfspool`, `lvmthin`, `rbd`, `dir`, ..."""


@dataclass(frozen=True, kw_only=True)
class Observed:
    """One look at a Proxmox cluster."""

    version: tuple[int, ...]
    hosts: Mapping[str, Host]
    guests: tuple[Guest, ...] = ()
    storages: Mapping[tuple[str, str], StorageOnHost] = field(default_factory=dict)
    """By (host, storage)."""
    pools: frozenset[str] = frozenset()
    privileges: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By path, as the API token has them."""
    not_inherited: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Of these, what holds on the path alone and not below it (granted without propagation)."""
    zones: Mapping[str, str] = field(default_factory=dict)
    """The SDN zone of each VNet that is wanted; a bridge that is none is in `localnetwork`."""
    taken_ids: frozenset[int] = frozenset()
    """VM ids that exist although the token may not see what has them."""
    mappings: Mapping[str, frozenset[str]] | None = None
    """Hosts by PCI mapping; None where nobody asked or nobody answered."""

    def owned(self, tag: str) -> tuple[Guest, ...]:
        """The guests that carry an ownership tag."""
        return tuple(guest for guest in self.guests if tag in guest.tags)


@dataclass(frozen=True, kw_only=True)
class BridgedNetwork:
    """A bridge or VNet that cards can be plugged into, over all hosts that have it."""

    name: str
    hosts: frozenset[str]
    vnet: bool = False
    cidr: IPv4Network | None = None
    """The network that hosts have an address in; None where they have none."""
    gateway: IPv4Address | None = None
    addresses: frozenset[IPv4Address] = frozenset()
    """Those of the hosts."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """What somebody's Proxmox has, before there is a configuration for it."""

    endpoint: str
    observed: Observed
    networks: tuple[BridgedNetwork, ...] = ()
    cluster_name: str = ""
    """Empty: one host by itself, or nobody may say."""
    ha: bool = False
    """Whether Proxmox HA takes care of anything here already."""
