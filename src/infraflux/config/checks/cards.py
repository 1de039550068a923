"""Second and later network cards: addresses that are there, are nobody else's, and take no way from the first card."""

from collections.abc import Iterator
from ipaddress import IPv4Interface

from infraflux.config.checks.finding import Finding, Subject, needs
from infraflux.config.models import NodePool
from infraflux.config.models.addresses import AddressRange
from infraflux.config.models.nodes import ExtraNic
from infraflux.config.problems import Path

Card = tuple[NodePool, ExtraNic]


@needs("node_pools")
def cards_have_an_address_for_each_node(subject: Subject) -> Iterator[Finding]:
    for pool, nic in _cards(subject):
        count = len(pool.nodes) or pool.count or 0
        if nic.addresses is None:
            continue
        if len(nic.addresses) < count:
            wrong = f"{nic.addresses} has {len(nic.addresses)} addresses for {count} nodes"
            yield Finding(_at(pool, nic, "addresses"), wrong, "a range with one for each node is expected")
        network = IPv4Interface(f"{nic.addresses.first}/{nic.prefix_length}").network
        if not nic.addresses.within(network):
            wrong = f"{nic.addresses} is not in one network with prefix length {nic.prefix_length}"
            yield Finding(_at(pool, nic, "addresses"), wrong, f"a range in {network} is expected")


@needs("node_pools", "network")
def further_cards_are_in_networks_of_their_own(subject: Subject) -> Iterator[Finding]:
    """Two cards in one network answer for each other, and packets leave by either of them."""
    for pool, nic in _cards(subject):
        if nic.addresses is None:
            continue
        network = IPv4Interface(f"{nic.addresses.first}/{nic.prefix_length}").network
        for key in ("node_cidr", "pod_cidr", "service_cidr"):
            other = getattr(subject.spec.network, key)
            if network.overlaps(other):
                wrong = f"network {network} overlaps network.{key} {other}"
                yield Finding(_at(pool, nic, "addresses"), wrong, "a network of its own is expected")


@needs("node_pools")
def addresses_of_further_cards_are_used_once(subject: Subject) -> Iterator[Finding]:
    taken: dict[tuple[str, int | None], list[tuple[str, AddressRange]]] = {}
    for pool, nic in _cards(subject):
        if nic.addresses is None:
            continue
        beside = taken.setdefault((nic.bridge, nic.vlan), [])
        for name, other in beside:
            if other.overlaps(nic.addresses):
                wrong = f"{nic.addresses} overlaps {name} ({other}) on the same network"
                yield Finding(_at(pool, nic, "addresses"), wrong, "addresses nobody else uses are expected")
        beside.append((f"card {nic.name} of node pool {pool.name}", nic.addresses))


@needs("node_pools")
def a_card_asks_dhcp_or_has_an_address(subject: Subject) -> Iterator[Finding]:
    for pool, nic in _cards(subject):
        if nic.dhcp and nic.addresses is not None:
            wrong = "is true beside addresses: the card would get two"
            yield Finding(_at(pool, nic, "dhcp"), wrong, "give one of the two")


def _cards(subject: Subject) -> Iterator[Card]:
    for pool in subject.spec.node_pools:
        for nic in pool.nics:
            yield pool, nic


def _at(pool: NodePool, nic: ExtraNic, key: str) -> Path:
    return ("node_pools", pool.name, "nics", nic.name, key)
