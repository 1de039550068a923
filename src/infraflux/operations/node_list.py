"""Every declared node at a glance: its machine, Talos, Kubernetes, etcd, and what waits for its next start."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from infraflux.adapters.kubernetes.facts import KubernetesNode
from infraflux.adapters.proxmox.client import ProxmoxReader
from infraflux.adapters.proxmox.facts import Guest
from infraflux.adapters.proxmox.hardware import Hardware, shown, waiting_values
from infraflux.adapters.proxmox.observe import observe_guests, observe_hardware
from infraflux.adapters.talos.facts import EtcdSeen, NodeSeen, NodeState
from infraflux.adapters.talos.seen import look, look_at_etcd
from infraflux.config.models import ClusterSpec, Node, Role
from infraflux.core.errors import InfrafluxError
from infraflux.core.paths import ProjectPaths
from infraflux.operations.health import read_nodes
from infraflux.operations.machines import proxmox_access
from infraflux.operations.talos import open_talos

LOOKS_AT_ONCE = 8
UNKNOWN = "no answer"
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class NodeRow:
    """One node, in words."""

    node: str
    role: str
    host: str
    """Where its machine is; where it is declared, while there is none."""
    address: str
    machine: str
    talos: str
    kubernetes: str
    etcd: str
    waiting: tuple[str, ...]
    """What its machine takes up at its next start only."""
    healthy: bool


@dataclass(frozen=True, kw_only=True)
class NodesSeen:
    """One look; None where a layer did not answer."""

    guests: Mapping[int, Guest] | None = None
    hardware: Mapping[int, Hardware] | None = None
    talos: Mapping[str, NodeSeen] | None = None
    etcd: EtcdSeen | None = None
    kubernetes: Mapping[str, KubernetesNode] | None = None


def read_nodes_of(spec: ClusterSpec, *, root: Path) -> list[NodeRow]:
    """Look at every node of a cluster once."""
    reader = ProxmoxReader(proxmox_access(spec, root=root))
    guests = _answered(lambda: [one for one in observe_guests(reader) if spec.ownership_tag in one.tags])
    running = [one for one in guests or () if one.running]
    talos, etcd = _talos(spec, root=root)
    kubeconfig = ProjectPaths(root).kubeconfig(spec.environment, spec.name)
    nodes = _answered(lambda: read_nodes(kubeconfig)) if kubeconfig.exists() else None
    seen = NodesSeen(
        guests=None if guests is None else {one.vm_id: one for one in guests},
        hardware=_answered(lambda: observe_hardware(reader, running)),
        talos=talos,
        etcd=etcd,
        kubernetes=None if nodes is None else {one.name: one for one in nodes},
    )
    return [node_row(node, seen) for node in spec.nodes]


def _talos(spec: ClusterSpec, *, root: Path) -> tuple[Mapping[str, NodeSeen] | None, EtcdSeen | None]:
    if not ProjectPaths(root).talosconfig(spec.environment, spec.name).exists():
        return None, None
    cluster = open_talos(spec, root=root)
    admin, bare = cluster.admin, cluster.workspace.talosctl
    with ThreadPoolExecutor(max_workers=LOOKS_AT_ONCE) as pool:
        found = pool.map(lambda node: look(node, admin=admin, bare=bare, with_config=False), spec.nodes)
        return {one.name: one for one in found}, look_at_etcd(spec.control_planes, admin=admin)


def _answered(read: Callable[[], T]) -> T | None:
    try:
        return read()
    except InfrafluxError:
        return None


def node_row(node: Node, seen: NodesSeen) -> NodeRow:
    """What was seen of one node (pure)."""
    guest = (seen.guests or {}).get(node.vm_id)
    hardware = (seen.hardware or {}).get(node.vm_id)
    waiting = tuple(shown(one) for one in waiting_values(hardware)) if hardware else ()
    talos = (seen.talos or {}).get(node.name)
    live = (seen.kubernetes or {}).get(node.name)
    ok = guest is not None and guest.running and talos is not None and talos.state is NodeState.RUNNING
    return NodeRow(
        node=node.name,
        role=node.role.value,
        host=guest.host if guest else node.host,
        address=str(node.address),
        machine=_machine(guest) if seen.guests is not None else UNKNOWN,
        talos=(talos.version or talos.state.value) if talos else "-",
        kubernetes=_kubernetes(live, known=seen.kubernetes is not None),
        etcd=_etcd(node, seen.etcd),
        waiting=waiting,
        healthy=bool(ok and live and live.ready and not live.cordoned and not waiting),
    )


def _machine(guest: Guest | None) -> str:
    return "none" if guest is None else "running" if guest.running else "off"


def _kubernetes(live: KubernetesNode | None, *, known: bool) -> str:
    if live is None:
        return "not registered" if known else "-"
    words = ["Ready" if live.ready else "NotReady", live.kubelet_version]
    words += [f"out of service ({live.out_of_service or 'by somebody'})"] if live.cordoned else []
    return " ".join(words)


def _etcd(node: Node, etcd: EtcdSeen | None) -> str:
    if node.role is not Role.CONTROL_PLANE:
        return ""
    found = next((one for one in (etcd.members if etcd else ()) if one.hostname == node.name), None)
    return "-" if found is None else "learner" if found.learner else "member"


def as_json(rows: Sequence[NodeRow]) -> list[dict[str, Any]]:
    """Rows for programs."""
    return [asdict(row) for row in rows]
