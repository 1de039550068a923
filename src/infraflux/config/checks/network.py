"""Addresses of one cluster."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from itertools import combinations

from infraflux.config.checks.finding import Finding, Subject, needs
from infraflux.config.models.addresses import AddressRange
from infraflux.config.models.network import LoadBalancerMode, Network

# kube-apiserver refuses a service range of more than 2^20 addresses.
WIDEST_SERVICE_PREFIX = 12


@needs("network")
def vip_and_gateway_live_in_node_network(subject: Subject) -> Iterator[Finding]:
    network = subject.spec.network
    for key, address in (("gateway", network.gateway), ("vip", network.vip)):
        if wrong := outside(address, network.node_cidr):
            yield Finding(("network", key), f"{address} {wrong}", hosts_of(network.node_cidr))
    if network.vip == network.gateway:
        yield Finding(
            ("network", "vip"), f"{network.vip} is also the gateway", "an address nobody else uses is expected"
        )


def outside(address: IPv4Address, network: IPv4Network) -> str:
    """Why an address cannot be a host of a network; empty where it can."""
    if address not in network:
        return f"is outside the node network {network}"
    if network.prefixlen < 31 and address in (network.network_address, network.broadcast_address):
        return f"is the network or broadcast address of {network}"
    return ""


def hosts_of(network: IPv4Network) -> str:
    """The addresses that hosts of a network may have, as a hint."""
    if network.prefixlen >= 31:
        return f"{network[0]} to {network[-1]} would be right"
    return f"{network[1]} to {network[-2]} would be right"


@needs("network")
def cluster_networks_do_not_overlap(subject: Subject) -> Iterator[Finding]:
    network = subject.spec.network
    ranges = {"node_cidr": network.node_cidr, "pod_cidr": network.pod_cidr, "service_cidr": network.service_cidr}
    for (first, one), (second, other) in combinations(ranges.items(), 2):
        if one.overlaps(other):
            yield Finding(
                ("network", second), f"{other} overlaps {first} {one}", f"a range that shares no address with {one}"
            )


@needs("network")
def service_network_is_not_too_wide(subject: Subject) -> Iterator[Finding]:
    cidr = subject.spec.network.service_cidr
    if cidr.prefixlen < WIDEST_SERVICE_PREFIX:
        yield Finding(
            ("network", "service_cidr"),
            f"{cidr} has more than 2^20 addresses, which kube-apiserver refuses",
            f"{cidr.network_address}/{WIDEST_SERVICE_PREFIX} or smaller would be right",
        )


@needs("network")
def load_balancer_pools_are_free(subject: Subject) -> Iterator[Finding]:
    network = subject.spec.network
    pools = network.load_balancer.pools
    for pool in pools:
        for wrong, right in _pool_problems(network, pool.addresses):
            yield Finding(("network", "load_balancer", "pools", pool.name, "addresses"), wrong, right)
    for one, other in combinations(pools, 2):
        if one.addresses.overlaps(other.addresses):
            yield Finding(
                ("network", "load_balancer", "pools", other.name, "addresses"),
                f"{other.addresses} overlaps pool {one.name} ({one.addresses})",
                "pools that share no address are expected",
            )


def _pool_problems(network: Network, addresses: AddressRange) -> Iterator[tuple[str, str]]:
    in_nodes = addresses.within(network.node_cidr)
    if network.load_balancer.mode is LoadBalancerMode.L2 and not in_nodes:
        yield (
            f"{addresses} is outside the node network {network.node_cidr}, where L2 announcements reach",
            (f"addresses of {network.node_cidr}, or mode bgp"),
        )
    for name, taken in (("vip", network.vip), ("gateway", network.gateway)):
        if taken in addresses:
            yield f"{addresses} holds the {name} {taken}", "leave it out of the pool"
    for name, cidr in (("pod_cidr", network.pod_cidr), ("service_cidr", network.service_cidr)):
        if addresses.overlaps(cidr):
            yield f"{addresses} overlaps {name} {cidr}", "addresses of their own are expected"


@needs("network")
def bgp_has_peers_and_l2_has_none(subject: Subject) -> Iterator[Finding]:
    balancer = subject.spec.network.load_balancer
    if balancer.mode is LoadBalancerMode.BGP and balancer.bgp is None:
        yield Finding(("network", "load_balancer", "bgp"), "is missing with mode bgp", "give local_asn and peers")
    if balancer.mode is LoadBalancerMode.L2 and balancer.bgp is not None:
        yield Finding(("network", "load_balancer", "bgp"), "is given with mode l2", "remove it, or set mode: bgp")
