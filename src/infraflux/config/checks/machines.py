"""Nodes of one cluster: how many, how big, where, and with which addresses."""

from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv4Address
from itertools import combinations

from infraflux.config.checks.finding import Finding, Subject, needs
from infraflux.config.checks.network import hosts_of, outside
from infraflux.config.matrix import matrix
from infraflux.config.models import ClusterSpec, Node, NodePool, Role
from infraflux.config.models.proxmox import Spread
from infraflux.config.problems import Path

MAX_NAME = 63
"""One DNS label, as every name of a machine."""
MAX_VM_ID = 999_999_999
MAX_DATA_DISKS, MAX_NICS, MAX_PCI_DEVICES = 30, 31, 16
"""What is left beside the system disk (scsi0) and the first card (net0)."""
SERIAL_LENGTH = 20


def size_of(pool: NodePool) -> int:
    """How many machines a pool has."""
    return len(pool.nodes) or pool.count or 0


def counted(number: int, noun: str) -> str:
    """`1 node`, `2 nodes`, `2 addresses`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}{'es' if noun.endswith('s') else 's'}"


def derived(spec: ClusterSpec) -> tuple[Node, ...]:
    """The nodes, or none where they cannot be derived: another rule says why."""
    try:
        return spec.nodes
    except ValueError:
        return ()


def node_path(spec: ClusterSpec, node: Node, key: str) -> Path:
    """What to blame for a node's value: its own entry, or its pool."""
    pool = next(pool for pool in spec.node_pools if pool.name == node.pool)
    if any(named.name == node.name for named in pool.nodes):
        return ("node_pools", pool.name, "nodes", node.name, key)
    return ("node_pools", pool.name, {"address": "addresses", "vm_id": "vm_id_start"}.get(key, key))


@needs("node_pools", "policy")
def control_planes_are_an_odd_number(subject: Subject) -> Iterator[Finding]:
    pools = [pool for pool in subject.spec.node_pools if pool.role is Role.CONTROL_PLANE]
    count = sum(size_of(pool) for pool in pools)
    path: Path = ("node_pools", pools[0].name, "count") if pools else ("node_pools",)
    if count == 0:
        yield Finding(path, "there is no control plane", "3 nodes of role control-plane are expected")
    elif count == 1 and not subject.spec.policy.allow_single_control_plane:
        yield Finding(
            path,
            "one control plane does not survive its loss",
            "3 are expected, or policy.allow_single_control_plane: true",
        )
    elif count % 2 == 0:
        yield Finding(
            path,
            f"{count} control planes tolerate no more losses than {count - 1}",
            f"{count - 1} or {count + 1} would be right",
        )


@needs("node_pools", "talos")
def something_takes_the_workloads(subject: Subject) -> Iterator[Finding]:
    spec = subject.spec
    if spec.has_workers:
        return
    pools = [pool for pool in spec.node_pools if pool.role is Role.WORKER]
    path: Path = ("node_pools", pools[0].name, "count") if pools else ("node_pools",)
    if not spec.control_planes_take_workloads:
        right = "talos.schedule_on_control_planes: true, or 1 node of role worker or more"
        yield Finding(path, "there is no worker, and control planes would take no workloads", right)
    elif spec.talos.schedule_on_control_planes is None:
        right = "talos.schedule_on_control_planes: true says that this is intended"
        yield Finding(path, "there is no worker: control planes take the workloads", right, warning=True)


@needs("node_pools")
def pools_say_how_many_nodes(subject: Subject) -> Iterator[Finding]:
    for pool in subject.spec.node_pools:
        if pool.count is None and not pool.nodes:
            yield Finding(("node_pools", pool.name), "has neither count nor nodes", "set exactly one of them")
        if pool.nodes and pool.count is not None and pool.count != len(pool.nodes):
            yield Finding(
                ("node_pools", pool.name, "count"),
                f"is {pool.count} beside {counted(len(pool.nodes), 'named node')}",
                "set exactly one of them",
            )


@needs("node_pools")
def pools_have_an_address_for_each_node(subject: Subject) -> Iterator[Finding]:
    for pool in subject.spec.node_pools:
        without = [node for node in pool.nodes if node.address is None] or range(0 if pool.nodes else pool.count or 0)
        if pool.addresses is None and without:
            yield Finding(
                ("node_pools", pool.name, "addresses"), "is missing", "a range such as 10.0.0.21-10.0.0.40 is expected"
            )
        elif pool.addresses is not None and without and len(pool.addresses) < size_of(pool):
            yield Finding(
                ("node_pools", pool.name, "addresses"),
                f"{pool.addresses} has {counted(len(pool.addresses), 'address')} for {counted(size_of(pool), 'node')}",
                f"{pool.addresses.first}-{pool.addresses.first + size_of(pool) - 1} or more would be right",
            )


@needs("node_pools")
def machines_are_big_enough_for_talos(subject: Subject) -> Iterator[Finding]:
    for pool in subject.spec.node_pools:
        least = matrix().minimums[pool.role]
        for key in ("cores", "memory_mib", "system_disk_gib"):
            needed = getattr(least, key)
            right = f"a {pool.role} node needs {needed} or more"
            if getattr(pool, key) < needed:
                yield Finding(("node_pools", pool.name, key), f"{getattr(pool, key)} is too small for Talos", right)
            for node in pool.nodes:
                given = getattr(node, key)
                if given is not None and given < needed:
                    where = ("node_pools", pool.name, "nodes", node.name, key)
                    yield Finding(where, f"{given} is too small for Talos", right)


@needs("node_pools", "proxmox")
def nodes_are_pinned_to_known_hosts(subject: Subject) -> Iterator[Finding]:
    hosts = [host.name for host in subject.spec.proxmox.hosts]
    for pool in subject.spec.node_pools:
        for node in pool.nodes:
            if node.host is not None and node.host not in hosts:
                path = ("node_pools", pool.name, "nodes", node.name, "host")
                yield Finding(path, f"there is no host {node.host!r}", f"one of {', '.join(hosts)} is expected")


@needs("node_pools", "proxmox", "network", "vm_id_start")
def control_planes_are_spread_over_hosts(subject: Subject) -> Iterator[Finding]:
    spec = subject.spec
    planes = [node for node in derived(spec) if node.role is Role.CONTROL_PLANE]
    if spec.proxmox.control_plane_spread is not Spread.REQUIRED:
        return
    crowded = [host for host, count in Counter(node.host for node in planes).items() if count > 1]
    for host in crowded:
        names = ", ".join(node.name for node in planes if node.host == host)
        yield Finding(
            ("proxmox", "control_plane_spread"),
            f"{names} would share host {host}",
            f"{len(planes)} hosts, other pins, or control_plane_spread: preferred",
        )


@needs("node_pools", "proxmox", "network", "vm_id_start")
def nodes_share_nothing(subject: Subject) -> Iterator[Finding]:
    nodes = derived(subject.spec)
    for key in ("name", "address", "vm_id", "mac"):
        seen: dict[object, Node] = {}
        for node in nodes:
            value = getattr(node, key)
            if value in seen:
                path = node_path(subject.spec, node, key)
                yield Finding(
                    path, f"{node.name} has the {key} {value} of {seen[value].name}", "one of its own is expected"
                )
            seen.setdefault(value, node)


@needs("node_pools", "proxmox", "network", "vm_id_start")
def node_addresses_are_free(subject: Subject) -> Iterator[Finding]:
    spec, said = subject.spec, set[Path]()
    for node in derived(spec):
        path = node_path(spec, node, "address")
        wrong = outside(node.address, spec.network.node_cidr) or _taken(spec, node.address)
        if wrong and path not in said:  # one range, one message
            said.add(path)
            right = (
                hosts_of(spec.network.node_cidr)
                if "outside" in wrong or "broadcast" in wrong
                else "a free address is expected"
            )
            yield Finding(path, f"{node.address} of {node.name} {wrong}", right)


def _taken(spec: ClusterSpec, address: IPv4Address) -> str:
    for name, other in (("VIP", spec.network.vip), ("gateway", spec.network.gateway)):
        if address == other:
            return f"is the {name}"
    for pool in spec.network.load_balancer.pools:
        if address in pool.addresses:
            return f"is in the load balancer pool {pool.name} ({pool.addresses})"
    return ""


@needs("node_pools", "network")
def address_ranges_leave_each_other_room(subject: Subject) -> Iterator[Finding]:
    """Also the addresses a pool may grow into."""
    pools = [pool for pool in subject.spec.node_pools if pool.addresses is not None]
    for one, other in combinations(pools, 2):
        assert one.addresses is not None
        assert other.addresses is not None
        if one.addresses.overlaps(other.addresses):
            wrong = f"{other.addresses} overlaps node pool {one.name} ({one.addresses})"
            yield Finding(("node_pools", other.name, "addresses"), wrong, "ranges that share no address are expected")


@needs("node_pools", "proxmox", "network", "vm_id_start")
def vm_ids_are_in_range(subject: Subject) -> Iterator[Finding]:
    for node in derived(subject.spec):
        if node.vm_id > MAX_VM_ID:
            wrong = f"{node.name} would have the VM id {node.vm_id}"
            yield Finding(node_path(subject.spec, node, "vm_id"), wrong, f"at most {MAX_VM_ID} is allowed")


@needs("node_pools", "name")
def derived_names_are_short_enough(subject: Subject) -> Iterator[Finding]:
    for pool in subject.spec.node_pools:
        last = f"{subject.spec.name}-{pool.name}-{pool.count}"
        if not pool.nodes and len(last) > MAX_NAME:
            wrong = f"its nodes would be named {last}, {len(last)} characters"
            yield Finding(("node_pools", pool.name, "name"), wrong, f"{MAX_NAME} or less: shorten the pool's name")


@needs("node_pools")
def machines_have_room_for_their_parts(subject: Subject) -> Iterator[Finding]:
    """Slots of a Proxmox machine: https://pve.proxmox.com/pve-docs/qm.conf.5.html (scsi[n], net[n], hostpci[n])."""
    for pool in subject.spec.node_pools:
        for key, most in (("data_disks", MAX_DATA_DISKS), ("nics", MAX_NICS), ("pci_devices", MAX_PCI_DEVICES)):
            count = len(getattr(pool, key))
            if count > most:
                yield Finding(("node_pools", pool.name, key), f"has {count} items", f"a machine takes {most} of them")


@needs("node_pools")
def data_disks_can_be_told_apart(subject: Subject) -> Iterator[Finding]:
    """Their names are their serial numbers, of which QEMU keeps 20 characters (terraform/modules/proxmox-vm)."""
    for pool in subject.spec.node_pools:
        seen: dict[str, str] = {}
        for disk in pool.data_disks:
            other = seen.setdefault(disk.name[:SERIAL_LENGTH], disk.name)
            if other != disk.name:
                wrong = f"the first {SERIAL_LENGTH} characters of its name are those of {other}"
                path: Path = ("node_pools", pool.name, "data_disks", disk.name, "name")
                yield Finding(path, wrong, "Talos tells disks apart by them: another name is expected")
