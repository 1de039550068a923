"""Addresses of a cluster."""

from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network

from pydantic import Field

from infraflux.config.models.addresses import AddressRange
from infraflux.config.models.base import DnsName, Name, NetworkHost, Section


def first_host(network: IPv4Network) -> IPv4Address:
    """`10.0.0.0/24` -> `10.0.0.1`."""
    return network[min(1, network.num_addresses - 1)]


class LoadBalancerMode(StrEnum):
    L2 = "l2"
    BGP = "bgp"


class BgpPeer(Section):
    name: Name
    address: IPv4Address
    asn: int = Field(ge=1, le=4_294_967_295)


class Bgp(Section):
    local_asn: int = Field(ge=1, le=4_294_967_295)
    peers: tuple[BgpPeer, ...] = Field(min_length=1)


class LoadBalancerPool(Section):
    """Addresses that Services of type LoadBalancer get."""

    name: Name
    addresses: AddressRange


class LoadBalancer(Section):
    mode: LoadBalancerMode = LoadBalancerMode.L2
    pools: tuple[LoadBalancerPool, ...] = Field(min_length=1)
    bgp: Bgp | None = None
    """Required with mode `bgp`."""


class Network(Section):
    """Node network, service networks and what answers on them."""

    node_cidr: IPv4Network
    """Network of the nodes, such as `10.0.0.0/24`."""
    gateway: IPv4Address = Field(default_factory=lambda seen: first_host(seen["node_cidr"]), validate_default=False)
    """The first address of the node network where it is not given."""
    vip: IPv4Address
    """Virtual IP of the Kubernetes API; used by nobody else."""
    dns: tuple[IPv4Address, ...] = Field(
        default_factory=lambda seen: (seen["gateway"],), min_length=1, validate_default=False
    )
    """Resolvers of the nodes; the gateway where they are not given."""
    ntp: tuple[NetworkHost, ...] = Field(min_length=1)
    """Time servers of the nodes."""
    pod_cidr: IPv4Network
    service_cidr: IPv4Network
    domain: DnsName
    """DNS name of the cluster for people: `dev-1.example.org`."""
    cluster_domain: DnsName = "cluster.local"
    mtu: int = Field(default=1500, ge=1280, le=9216)
    load_balancer: LoadBalancer
