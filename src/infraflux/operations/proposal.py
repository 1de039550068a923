"""From what a Proxmox site has to a first environment and cluster on it: every choice with its reason. Pure.

Nothing is proposed that the site is not known to have; what cannot be known from there (Git, domain, the network of a
VLAN) is asked for or left to be decided, by name.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Generic, TypeVar

from infraflux.adapters.proxmox.facts import BridgedNetwork, Host, Site, StorageOnHost
from infraflux.adapters.proxmox.preflight import MIN_VERSION
from infraflux.config.models.addresses import AddressRange
from infraflux.operations.proposal_sizes import PoolSize, Sized, Unfit, choose_size

T = TypeVar("T")

LAYOUTS = ((1, 10, 20, 20), (1, 5, 10, 10), (1, 3, 3, 3))
"""Addresses of VIP, control planes, workers and load balancer, side by side; the first that fits."""
SPREAD_FROM = 3
"""Hosts; with fewer, the loss of one would take etcd's majority anyway."""
ID_BLOCK = 10_000


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the person said; what is None or empty is proposed."""

    environment: str
    bridge: str = ""
    vlan: int | None = None
    node_cidr: IPv4Network | None = None
    gateway: IPv4Address | None = None
    addresses: AddressRange | None = None
    """Where the cluster's addresses are to be."""
    disks: str = ""
    images: str = ""
    size: str = ""
    git: str = ""
    domain: str = ""


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What other clusters of the configuration and others on the network have already."""

    cluster_ids: Collection[int] = ()
    vm_ids: Collection[int] = ()
    ranges: Sequence[AddressRange] = ()
    networks: Sequence[IPv4Network] = ()
    """Of nodes, pods and services."""
    answering: Collection[IPv4Address] = ()
    """Addresses where somebody answered just now."""


@dataclass(frozen=True)
class Choice(Generic[T]):
    """A value, and why it and no other."""

    value: T
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Addresses:
    vip: AddressRange
    control_planes: AddressRange
    workers: AddressRange
    balancer: AddressRange


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """An environment and its first cluster."""

    wishes: Wishes
    endpoint: str
    hosts: Choice[tuple[str, ...]]
    images: Choice[str]
    disks: Choice[str]
    bridge: Choice[str]
    network: Choice[IPv4Network]
    gateway: IPv4Address
    addresses: Choice[Addresses]
    size: Choice[Sized]
    cluster_id: int
    vm_id_start: Choice[int]
    pods: IPv4Network
    services: IPv4Network
    undecided: tuple[str, ...] = ()

    @property
    def cluster(self) -> str:
        return f"{self.wishes.environment}-1"


@dataclass(frozen=True)
class Refusal:
    """Why there is nothing to propose; everything at once."""

    reasons: tuple[str, ...]


@dataclass
class _Chooser:
    reasons: list[str] = field(default_factory=list)

    def __call__(self, choose: Callable[[], T]) -> T | None:
        try:
            return choose()
        except Unfit as error:
            self.reasons.append(str(error))
            return None


def propose(
    sites: Sequence[Site], *, wishes: Wishes, taken: Taken, sizes: Mapping[str, Mapping[str, PoolSize]]
) -> Proposal | Refusal:
    """The proposal for one site; several that are no Proxmox cluster are refused. `sizes`: the templates by name."""
    if len(sites) > 1:
        return Refusal((_one_api(sites, wishes.environment),))
    (site,) = sites
    choose = _Chooser()
    hosts = choose(lambda: _hosts(site))
    if hosts is None:
        return Refusal(tuple(choose.reasons))
    images = choose(lambda: _images(site, hosts.value, wishes))
    disks = choose(lambda: _disks(site, hosts.value, wishes))
    bridge = choose(lambda: _bridge(site, hosts.value, wishes))
    network = choose(lambda: _network(bridge.value, wishes)) if bridge else None
    addresses = choose(lambda: _addresses(network.value, bridge.value, wishes, taken)) if bridge and network else None
    size = choose(lambda: choose_size(site.observed, hosts.value, disks.value, wishes.size, sizes)) if disks else None
    if not (images and disks and bridge and network and addresses and size):
        return Refusal(tuple(choose.reasons))
    number = next(one for one in range(1, 256) if one not in taken.cluster_ids)
    known = [*taken.networks, network.value, *(one.cidr for one in site.networks if one.cidr)]
    pods = _free_network(known, 10 + number)
    return Proposal(
        wishes=wishes,
        endpoint=site.endpoint,
        hosts=hosts,
        images=images,
        disks=disks,
        bridge=Choice(bridge.value.name, bridge.why),
        network=network,
        gateway=_gateway(network.value, bridge.value, wishes),
        addresses=addresses,
        size=Choice(size, size.why),
        cluster_id=number,
        vm_id_start=_vm_ids(site, network.value, addresses.value, taken),
        pods=pods,
        services=_free_network([*known, pods], 110 + number),
        undecided=tuple(_undecided(wishes, addresses.value)),
    )


def _one_api(sites: Sequence[Site], environment: str) -> str:
    names = [", ".join(site.observed.hosts) for site in sites]
    runs = "; ".join(f"infraflux init {environment}-{site_names[0]}" for site_names in map(_host_names, sites))
    return (
        f"{' and '.join(names)} are {len(sites)} Proxmox installations, each with an API of its own, and an environment"
        f" is one API: make them one Proxmox cluster (Datacenter > Cluster), or an environment each ({runs})"
    )


def _host_names(site: Site) -> list[str]:
    return list(site.observed.hosts) or ["host"]


def _hosts(site: Site) -> Choice[tuple[str, ...]]:
    version = site.observed.version
    if version < MIN_VERSION:
        found, least = (".".join(map(str, one)) for one in (version, MIN_VERSION))
        raise Unfit(f"Proxmox VE {found} is too old: {least} or later is needed to import images")
    online = tuple(name for name, host in site.observed.hosts.items() if host.online)
    if not online:
        raise Unfit("no host is online, or the token may see none: it needs Sys.Audit on /nodes")
    blind = [name for name in online if not site.observed.hosts[name].memory_mib]
    if blind:
        raise Unfit(f"the token may not see the memory of {', '.join(blind)}: it needs Sys.Audit on /nodes")
    away = [name for name in site.observed.hosts if name not in online]
    what = f"of Proxmox cluster {site.cluster_name}" if len(online) > 1 else "the only one"
    why = f"every host that is online, {what}" if len(online) > 1 else f"{what} there is"
    return Choice(online, why + (f"; offline and left out: {', '.join(away)}" if away else ""))


def _on_every(site: Site, hosts: Sequence[str], content: str) -> dict[str, list[StorageOnHost]]:
    """The storages with this content on each of the hosts, as each of them sees it."""
    found: dict[str, list[StorageOnHost]] = {}
    for (host, name), storage in sorted(site.observed.storages.items()):
        if host in hosts and storage.active and content in storage.content:
            found.setdefault(name, []).append(storage)
    return {name: seen for name, seen in found.items() if len(seen) == len(hosts)}


def _wanted(name: str, found: Mapping[str, object], what: str) -> str:
    if name not in found:
        raise Unfit(f"storage {name} does not hold {what} on every host; {', '.join(found) or 'none'} does")
    return name


def _images(site: Site, hosts: Sequence[str], wishes: Wishes) -> Choice[str]:
    found = _on_every(site, hosts, "import")
    if wishes.images:
        return Choice(_wanted(wishes.images, found, "images to import (content type import)"), "as you said")
    if not found:
        here = sorted(
            {name for (_, name), one in site.observed.storages.items() if one.kind in ("dir", "nfs", "cephfs")}
        )
        storage = "local" if "local" in here or not here else here[0]
        content = next((one.content for (_, name), one in site.observed.storages.items() if name == storage), ())
        wanted = ",".join(sorted({*content, "import"} - {""}))
        raise Unfit(
            f"no storage takes images to import on every host: `pvesm set {storage} --content {wanted}` on one host,"
            f" or Datacenter > Storage > {storage} > Content > Import"
        )
    # Each host fetches its own copy, so that a shared one is not better, and `local` is where people look.
    name = min(found, key=lambda one: (found[one][0].shared, one != "local", one))
    return Choice(name, f"takes images to import on every host; {_others(found, name)}")


def _disks(site: Site, hosts: Sequence[str], wishes: Wishes) -> Choice[str]:
    found = _on_every(site, hosts, "images")
    if wishes.disks:
        return Choice(_wanted(wishes.disks, found, "disks (content type images)"), "as you said")
    if not found:
        raise Unfit("no storage of one name holds disks (content type images) on every host")
    kinds = {name: seen[0].kind for name, seen in found.items()}
    block = [name for name in found if kinds[name] in ("rbd", "zfspool", "lvmthin", "lvm", "btrfs")] or list(found)
    # Etcd wants the latency of a disk of the host itself; among those, room.
    local = [name for name in block if not found[name][0].shared] or block
    free = {name: min(one.free_gib for one in found[name]) for name in found}
    name = max(local, key=lambda one: (free[one], one))
    shared = "shared by the hosts" if found[name][0].shared else "the host's own, which etcd likes best"
    return Choice(
        name, f"a {kinds[name] or 'storage'} on every host, {free[name]} GiB free, {shared}; {_others(found, name)}"
    )


def _others(found: Collection[str], name: str) -> str:
    others = sorted(one for one in found if one != name)
    return f"others would be {', '.join(others)}" if others else "the only one"


def _bridge(site: Site, hosts: Sequence[str], wishes: Wishes) -> Choice[BridgedNetwork]:
    everywhere = {one.name: one for one in site.networks if one.hosts >= set(hosts)}
    if wishes.bridge:
        if wishes.bridge not in everywhere:
            raise Unfit(f"network {wishes.bridge} is not on every host; {', '.join(everywhere) or 'none'} is")
        return Choice(everywhere[wishes.bridge], "as you said")
    if not everywhere:
        raise Unfit("no bridge or VNet of one name is on every host, or the token may see none (SDN.Audit, Sys.Audit)")
    routed = [one for one in everywhere.values() if one.gateway]
    chosen = (routed or [one for one in everywhere.values() if not one.vnet] or list(everywhere.values()))[0]
    why = "carries the hosts' own default route" if routed else "is on every host"
    return Choice(chosen, f"{why}; {_others(everywhere, chosen.name)}")


def _network(bridge: BridgedNetwork, wishes: Wishes) -> Choice[IPv4Network]:
    if wishes.node_cidr is not None:
        return Choice(wishes.node_cidr, "as you said")
    if wishes.vlan is not None or bridge.cidr is None:
        where = f"VLAN {wishes.vlan} of {bridge.name}" if wishes.vlan is not None else bridge.name
        raise Unfit(f"no host has an address in {where}, so nobody knows its network: say it with --node-cidr")
    return Choice(bridge.cidr, f"what the hosts are in on {bridge.name}")


def _gateway(network: IPv4Network, bridge: BridgedNetwork, wishes: Wishes) -> IPv4Address:
    if wishes.gateway is not None:
        return wishes.gateway
    return bridge.gateway if bridge.gateway is not None and bridge.gateway in network else network[1]


def _addresses(network: IPv4Network, bridge: BridgedNetwork, wishes: Wishes, taken: Taken) -> Choice[Addresses]:
    single = {*bridge.addresses, *taken.answering, _gateway(network, bridge, wishes), network[1]}
    used = [*taken.ranges, *(AddressRange(one, one) for one in single)]
    room = wishes.addresses or AddressRange(network[2], network[-2])
    if not room.within(network):
        raise Unfit(f"{room} is not in the network {network}")
    for layout in LAYOUTS:
        start = _highest_free(room, sum(layout), used)
        if start is not None:
            why = "in the range you gave" if wishes.addresses else "the highest that are free: DHCP mostly begins below"
            return Choice(_laid_out(start, layout), f"{why}, and nobody answered there")
    raise Unfit(f"{room} has no {sum(LAYOUTS[-1])} free addresses side by side: give others with --addresses")


def _highest_free(room: AddressRange, count: int, used: Sequence[AddressRange]) -> IPv4Address | None:
    last = int(room.last)
    while (first := last - count + 1) >= int(room.first):
        block = AddressRange(IPv4Address(first), IPv4Address(last))
        clash = [one for one in used if one.overlaps(block)]
        if not clash:
            return block.first
        last = min(int(one.first) for one in clash) - 1
    return None


def _laid_out(start: IPv4Address, layout: Sequence[int]) -> Addresses:
    ranges = []
    for count in layout:
        ranges.append(AddressRange(start, start + count - 1))
        start += count
    vip, control_planes, workers, balancer = ranges
    return Addresses(vip=vip, control_planes=control_planes, workers=workers, balancer=balancer)


def _vm_ids(site: Site, network: IPv4Network, addresses: Addresses, taken: Taken) -> Choice[int]:
    """The first ten thousand in which no machine of the cluster meets one that is there."""
    there = {*(guest.vm_id for guest in site.observed.guests), *taken.vm_ids}
    nodes = [int(one) - int(network[0]) for part in (addresses.control_planes, addresses.workers) for one in part]
    start = next(one for one in range(ID_BLOCK, ID_BLOCK * 1000, ID_BLOCK) if not there & {one + off for off in nodes})
    return Choice(start, "VM ids are this plus the last part of a node's address; none of them is in use")


def _free_network(used: Sequence[IPv4Network], first: int) -> IPv4Network:
    """A /16 of 10.0.0.0/8, from `10.<first>` on, that overlaps nothing that is known."""
    for step in range(256):
        candidate = IPv4Network(f"10.{(first + step) % 256}.0.0/16")
        if not any(candidate.overlaps(one) for one in used):
            return candidate
    raise Unfit("10.0.0.0/8 has no free /16 left for pods and services: write the cluster by hand")


def _undecided(wishes: Wishes, addresses: Addresses) -> list[str]:
    found = []
    if not wishes.git:
        found.append("Git: gitops.platform.url, where the cluster reads this repository; push it there")
    if not wishes.domain:
        found.append("domain: network.domain of the cluster, for the names of its web pages")
    if wishes.addresses is None:
        whole = AddressRange(addresses.vip.first, addresses.balancer.last)
        found.append(f"DHCP: keep {whole} out of your DHCP server's range")
    found.append("DNS token: only where certificates are to be publicly trusted; the platform signs its own until then")
    return found


__all__ = ["Choice", "Host", "Proposal", "Refusal", "Taken", "Wishes", "propose"]
