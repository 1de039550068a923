"""Two things that claim one place: what the nodes must reach, and addresses that somebody else answers on."""

from collections.abc import Iterator, Mapping
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from urllib.parse import urlsplit

from infraflux.config.checks.finding import Finding, Subject, needs
from infraflux.config.checks.patch_documents import patch_documents, value_at
from infraflux.config.models import ClusterSpec
from infraflux.config.problems import Path

HOST_DNS = IPv4Address("169.254.116.108")
"""Talos v1.13.9, pkg/machinery/constants/constants.go (HostDNSAddress)"""
_SPECIAL = tuple(map(IPv4Network, ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4")))
"""https://www.iana.org/assignments/iana-ipv4-special-registry/: never forwarded, or no unicast.
What was reserved, 240.0.0.0/4, some use for pods."""

Reached = tuple[Path, str, IPv4Address]
"""Where it is written, what it is for people, its address."""


@needs("network", "proxmox", "gitops", "platform", "image", "talos")
def what_must_be_reached_is_outside_the_cluster_networks(subject: Subject) -> Iterator[Finding]:
    """An address in these two networks never leaves the node: it means a pod or a Service, and nothing else."""
    network = subject.spec.network
    for path, what, address in (*_reached(subject.spec), *_of_patches(subject)):
        for key, cidr in (("service_cidr", network.service_cidr), ("pod_cidr", network.pod_cidr)):
            if address in cidr and not (address in network.node_cidr and cidr.overlaps(network.node_cidr)):
                wrong = f"{what} {address} is inside network.{key} {cidr}, and nobody in the cluster would reach it"
                yield Finding(path, wrong, f"a network.{key} that the LAN does not use is expected")


@needs("network", "proxmox", "node_pools", "vm_id_start")
def no_node_sits_on_what_must_be_reached(subject: Subject) -> Iterator[Finding]:
    spec = subject.spec
    try:
        taken = {node.address: f"the address of {node.name}" for node in spec.nodes}
    except ValueError:  # another rule says why
        return
    taken[spec.network.vip] = "the VIP"
    for path, what, address in (*_of_the_network(spec), *_of_proxmox(spec)):
        if address in taken and address != spec.network.gateway:  # the gateway has rules of its own
            yield Finding(path, f"{what} {address} is also {taken[address]}", "one of the two needs another address")


@needs("network", "proxmox")
def load_balancer_pools_leave_out_what_must_be_reached(subject: Subject) -> Iterator[Finding]:
    """Cilium would answer for it. A resolver or a clock may itself be a Service of the cluster: only a warning."""
    spec = subject.spec
    found = [*_of_the_network(spec), *_of_proxmox(spec)]
    for pool in spec.network.load_balancer.pools:
        for path, what, address in found:
            if address in pool.addresses and address != spec.network.gateway:  # the gateway has a rule of its own
                wrong = f"{what} {address} is in the load balancer pool {pool.name} ({pool.addresses})"
                service = path[:2] in (("network", "dns"), ("network", "ntp"))
                right = "leave it out of the pool" + (", unless a Service answers there" if service else "")
                yield Finding(path, wrong, right, warning=service)


@needs("network")
def resolvers_and_clocks_have_an_address_that_answers(subject: Subject) -> Iterator[Finding]:
    network = subject.spec.network
    for path, what, address in _of_the_network(subject.spec):
        if address.is_loopback and not network.node_cidr.is_loopback:
            wrong = f"{what} {address} is the machine itself"
        elif address == HOST_DNS:
            wrong = f"{what} {address} is Talos' own, which asks the resolvers given here"
        elif address.is_multicast or address.is_reserved or address.is_unspecified:
            wrong = f"{what} {address} is no address that anybody has"
        else:
            continue
        yield Finding(path, wrong, "the address of a server in reach of the nodes is expected")


@needs("network")
def cluster_networks_are_unicast(subject: Subject) -> Iterator[Finding]:
    network = subject.spec.network
    for key, cidr in (("pod_cidr", network.pod_cidr), ("service_cidr", network.service_cidr)):
        if any(cidr.overlaps(one) for one in _SPECIAL):
            right = "a private network such as 10.244.0.0/16, which your LAN does not use, is expected"
            yield Finding(("network", key), f"{cidr} holds addresses that nobody can have", right)


@needs("network")
def load_balancer_addresses_can_be_handed_out(subject: Subject) -> Iterator[Finding]:
    network = subject.spec.network
    cidr = network.node_cidr
    ends = (cidr.network_address, cidr.broadcast_address) if cidr.prefixlen < 31 else ()
    for pool in network.load_balancer.pools:
        path: Path = ("network", "load_balancer", "pools", pool.name, "addresses")
        for address in ends:
            if address in pool.addresses:
                wrong = f"{pool.addresses} holds {address}, the network or broadcast address of {cidr}"
                yield Finding(path, wrong, f"leave it out: {cidr[1]} to {cidr[-2]} can be handed out")
        for address in (pool.addresses.first, pool.addresses.last):
            if address.is_multicast or address.is_reserved or address.is_unspecified or address.is_link_local:
                yield Finding(
                    path, f"{address} is no address that a Service can have", "unicast addresses are expected"
                )
                break


@needs("network", "node_pools")
def load_balancer_pools_leave_room_for_nodes(subject: Subject) -> Iterator[Finding]:
    """Also for the nodes that a pool may still grow by."""
    for pool in subject.spec.network.load_balancer.pools:
        for nodes in subject.spec.node_pools:
            if nodes.addresses is None or not nodes.addresses.overlaps(pool.addresses):
                continue
            used = min(len(nodes.nodes) or nodes.count or 0, len(nodes.addresses))
            if any(nodes.addresses[index] in pool.addresses for index in range(used)):
                continue  # a node that is there already is told by the rule of free addresses
            path: Path = ("network", "load_balancer", "pools", pool.name, "addresses")
            wrong = f"{pool.addresses} overlaps the addresses of node pool {nodes.name} ({nodes.addresses})"
            yield Finding(path, wrong, "ranges that share no address are expected")


@needs("network")
def the_node_network_can_hold_nodes(subject: Subject) -> Iterator[Finding]:
    cidr = subject.spec.network.node_cidr
    if cidr.is_multicast or cidr.is_reserved or cidr.is_unspecified or cidr.is_link_local:
        yield Finding(
            ("network", "node_cidr"), f"{cidr} holds no address that a node can have", "a network of your LAN"
        )


@needs("network")
def peers_are_named_once(subject: Subject) -> Iterator[Finding]:
    bgp = subject.spec.network.load_balancer.bgp
    seen: dict[IPv4Address, str] = {}
    for peer in bgp.peers if bgp else ():
        if peer.address in seen:
            wrong = f"{peer.address} is also the peer {seen[peer.address]}"
            yield Finding(
                ("network", "load_balancer", "bgp", "peers", peer.name, "address"), wrong, "name a router once"
            )
        seen.setdefault(peer.address, peer.name)


_PATCHED = (
    ("", "machine.network.nameservers", "the resolver"),
    ("", "machine.time.servers", "the time server"),
    ("ResolverConfig", "nameservers", "the resolver"),
    ("TimeSyncConfig", "ntp.servers", "the time server"),
)
"""Kind of document, field, what it is for people."""


def _reached(spec: ClusterSpec) -> Iterator[Reached]:
    yield from _of_the_network(spec)
    yield from _of_proxmox(spec)
    yield from _of_urls(spec)


def _of_the_network(spec: ClusterSpec) -> Iterator[Reached]:
    network = spec.network
    for index, address in enumerate(network.dns):
        yield ("network", "dns", index), "the resolver", address
    for index, server in enumerate(network.ntp):
        if (found := _address(server)) is not None:
            yield ("network", "ntp", index), "the time server", found
    bgp = network.load_balancer.bgp
    for peer in bgp.peers if bgp else ():
        yield ("network", "load_balancer", "bgp", "peers", peer.name, "address"), "the router", peer.address


def _of_proxmox(spec: ClusterSpec) -> Iterator[Reached]:
    if (found := _in_url(spec.proxmox.endpoint)) is not None:
        yield ("proxmox", "endpoint"), "the Proxmox API at", found


def _of_patches(subject: Subject) -> Iterator[Reached]:
    """Resolvers and time servers that patches add."""
    for patch in patch_documents(subject.spec.talos.patches, subject.root):
        for kind, field, what in _PATCHED:
            given = value_at(patch.document, field) if patch.kind == kind else None
            for one in given if isinstance(given, list) else ():
                text = one.get("address") if isinstance(one, Mapping) else one
                if (found := _address(str(text))) is not None:
                    yield patch.path, what, found


def _of_urls(spec: ClusterSpec) -> Iterator[Reached]:
    urls: dict[Path, tuple[str, str | None]] = {
        ("gitops", "platform", "url"): ("the Git server", spec.gitops.platform.url),
        ("gitops", "application", "url"): ("the Git server", spec.gitops.application.url),
        ("platform", "chart_repository"): ("the chart server", spec.platform.chart_repository),
        ("image", "installer_registry"): ("the registry", f"//{spec.image.installer_registry}"),
    }
    for component in spec.platform.components:
        urls["platform", "components", component.name, "repository"] = ("the chart server", component.repository)
    for index, manifest in enumerate(spec.platform.gateway.manifests):
        urls["platform", "gateway", "manifests", index] = ("the server", manifest)
    for path, (what, url) in urls.items():
        if url and (found := _in_url(url)) is not None:
            yield path, what, found


def _in_url(url: str) -> IPv4Address | None:
    """The address in a URL or in `git@host:path`; None where a name stands there."""
    if "://" not in url and "@" in url:
        return _address(url.partition("@")[2].partition(":")[0])
    try:
        return _address(urlsplit(url).hostname or "")
    except ValueError:
        return None


def _address(text: str) -> IPv4Address | None:
    try:
        return IPv4Address(text)
    except AddressValueError:
        return None
