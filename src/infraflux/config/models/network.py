"""Addresses of a cluster."""

from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network

from pydantic import Field

from infraflux.config.models.addresses import AddressRange
from infraflux.config.models.base import ClusterDomain, DnsName, Name, Section, TimeServer


def first_host(network: IPv4Network) -> IPv4Address:
    """`10.0.0.0/24` -> `10.0.0.1`."""
    return network[min(1, network.num_addresses - 1)]


class LoadBalancerMode(StrEnum):
    L2 = "l2"
    BGP = "bgp"


class BgpPeer(Section):
    """One router."""

    name: Name
    address: IPv4Address
    """The router's address."""
    asn: int = Field(ge=1, le=4_294_967_295)
    """Number of the router's autonomous system."""


class Bgp(Section):
    """Announcing addresses to routers."""

    local_asn: int = Field(ge=1, le=4_294_967_295)
    """Number of the cluster's autonomous system."""
    peers: tuple[BgpPeer, ...] = Field(min_length=1)
    """Routers that learn the addresses."""


class LoadBalancerPool(Section):
    """Addresses that Services of type LoadBalancer get."""

    name: Name
    addresses: AddressRange
    """Used by nobody else; in the node network with mode `l2`."""


class LoadBalancer(Section):
    """How Services of type LoadBalancer get addresses."""

    mode: LoadBalancerMode = LoadBalancerMode.L2
    """How addresses are announced: ARP in the node network, or BGP."""
    pools: tuple[LoadBalancerPool, ...] = Field(min_length=1)
    """Where addresses come from."""
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
    ntp: tuple[TimeServer, ...] = Field(min_length=1)
    """Time servers of the nodes; `/dev/ptp0` for the clock of the host."""
    pod_cidr: IPv4Network
    """Network of the pods; every node gets a block of it."""
    node_cidr_mask_size: int = Field(default=24, ge=8, le=30)
    """Prefix length of each node's block of `pod_cidr`, as kube-controller-manager calls it: a /24 holds 256 pods."""
    service_cidr: IPv4Network
    """Network of the services."""
    domain: DnsName
    """DNS name of the cluster for people: `dev-1.example.org`."""
    cluster_domain: ClusterDomain = "cluster.local"
    """DNS domain inside the cluster."""
    mtu: int = Field(default=1500, ge=1280, le=9216)
    """Largest packet of the nodes' network, in bytes."""
    load_balancer: LoadBalancer
