"""Nodes from pools: names, addresses, hosts, VM ids, MACs and UUIDs, all derived and all stable under growth."""

import hashlib
import uuid
from ipaddress import IPv4Address
from typing import Protocol

from infraflux.config.models.addresses import AddressRange
from infraflux.config.models.network import Network
from infraflux.config.models.nodes import ExtraNic, NamedNode, Node, NodePool, Role
from infraflux.config.models.proxmox import Proxmox

# The namespace makes the UUIDs of two installations equal for equal names, so a machine keeps its identity
# when its state file is lost.
_UUID_NAMESPACE = uuid.UUID("6f1c3a52-7d1e-5f0b-9f77-2a6a5f9be1a4")
# Proxmox Server Solutions' own prefix, as its generated MACs carry.
_MAC_PREFIX = (0xBC, 0x24, 0x11)


class PooledCluster(Protocol):
    """What nodes are derived from: the part of a `ClusterSpec` that is read here."""

    @property
    def environment(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def ownership_tag(self) -> str: ...
    @property
    def vm_id_start(self) -> int: ...
    @property
    def proxmox(self) -> Proxmox: ...
    @property
    def network(self) -> Network: ...
    @property
    def node_pools(self) -> tuple[NodePool, ...]: ...


def derive_nodes(spec: PooledCluster) -> tuple[Node, ...]:
    """All nodes of the cluster; ValueError names the pool whose range is too small."""
    pools = sorted(spec.node_pools, key=lambda pool: pool.role is not Role.CONTROL_PLANE)
    nodes: list[Node] = []
    for pool in pools:
        for index, named in enumerate(_members(spec, pool)):
            nodes.append(_node(spec, pool, named, index))
    return tuple(nodes)


def _members(spec: PooledCluster, pool: NodePool) -> tuple[NamedNode, ...]:
    if pool.nodes and pool.count is not None and pool.count != len(pool.nodes):
        raise ValueError(
            f"node pool {pool.name} has count {pool.count} and names {len(pool.nodes)} nodes; set exactly one of them"
        )
    if pool.nodes:
        return pool.nodes
    if pool.count is None:
        raise ValueError(f"node pool {pool.name} has neither count nor nodes; set exactly one of them")
    return tuple(NamedNode(name=f"{spec.name}-{pool.name}-{index + 1}") for index in range(pool.count))


def _node(spec: PooledCluster, pool: NodePool, named: NamedNode, index: int) -> Node:
    address = named.address or _address(pool, index)
    identity = f"{spec.environment}/{spec.name}/{named.name}"
    return Node(
        name=named.name,
        pool=pool.name,
        role=pool.role,
        address=address,
        # Round robin over the hosts: control planes spread as far as there are hosts.
        host=named.host or spec.proxmox.hosts[index % len(spec.proxmox.hosts)].name,
        vm_id=named.vm_id or _vm_id(spec, pool, address, index),
        mac=named.mac or derive_mac(identity),
        uuid=str(uuid.uuid5(_UUID_NAMESPACE, identity)),
        cores=named.cores or pool.cores,
        memory_mib=named.memory_mib or pool.memory_mib,
        system_disk_gib=named.system_disk_gib or pool.system_disk_gib,
        system_disk_storage=named.system_disk_storage or pool.system_disk_storage,
        cpu_type=pool.cpu_type,
        data_disks=pool.data_disks,
        nics=tuple(_own_card(pool, nic, index) for nic in pool.nics),
        pci_devices=pool.pci_devices,
        labels={**pool.labels, **named.labels},
        taints=pool.taints,
        tags=tuple(sorted({"infraflux", spec.ownership_tag, pool.role.value, *spec.proxmox.tags, *pool.tags})),
    )


def _address(pool: NodePool, index: int) -> IPv4Address:
    if pool.addresses is None:
        raise ValueError(f"node pool {pool.name} has no addresses range and its node {index + 1} names no address")
    if index >= len(pool.addresses):
        raise ValueError(
            f"node pool {pool.name} needs {index + 1} addresses or more, {pool.addresses} has {len(pool.addresses)}"
        )
    return pool.addresses[index]


def _own_card(pool: NodePool, nic: ExtraNic, index: int) -> ExtraNic:
    """The card with the one address that is this node's."""
    if nic.addresses is None:
        return nic
    if index >= len(nic.addresses):
        raise ValueError(
            f"card {nic.name} of node pool {pool.name} needs {index + 1} addresses or more, {nic.addresses} has"
            f" {len(nic.addresses)}"
        )
    own = nic.addresses[index]
    return nic.model_copy(update={"addresses": AddressRange(own, own)})


def _vm_id(spec: PooledCluster, pool: NodePool, address: IPv4Address, index: int) -> int:
    if pool.vm_id_start is not None:
        return pool.vm_id_start + index
    return spec.vm_id_start + int(address) - int(spec.network.node_cidr.network_address)


def mac_of(spec: PooledCluster, node: Node, nic: ExtraNic) -> str:
    """The MAC of a further card of a node."""
    return derive_mac(f"{spec.environment}/{spec.name}/{node.name}/{nic.name}")


def derive_mac(identity: str) -> str:
    """A MAC of Proxmox' prefix, the rest from the SHA-256 of the node's full name."""
    digest = hashlib.sha256(identity.encode()).digest()
    return ":".join(f"{byte:02x}" for byte in (*_MAC_PREFIX, *digest[:3]))
