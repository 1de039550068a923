"""The fleet at a glance: what is declared, what answers, how old it is. Reads only; what does not answer says so."""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infraflux.adapters.kubernetes.client import Kubernetes
from infraflux.adapters.kubernetes.facts import Ref
from infraflux.adapters.proxmox.client import ProxmoxReader
from infraflux.adapters.proxmox.facts import Guest
from infraflux.adapters.proxmox.observe import observe_guests
from infraflux.adapters.talos.facts import NodeSeen, NodeState
from infraflux.adapters.talos.seen import look, look_at_etcd
from infraflux.config.models import ClusterSpec
from infraflux.core.errors import InfrafluxError
from infraflux.core.paths import ProjectPaths
from infraflux.operations.bootstrap import TalosCluster
from infraflux.operations.health import read_nodes
from infraflux.operations.machines import proxmox_access
from infraflux.operations.talos import open_talos

LOOKS_AT_ONCE = 8
"""Each look is a short call to one node; more at once only makes this machine wait for itself."""


@dataclass(frozen=True, kw_only=True)
class ClusterStatus:
    """One row. `ok` is None where the layer does not exist yet (never deployed)."""

    cluster: str
    machines: str
    talos: str
    kubernetes: str
    etcd: str
    drift: str
    age: str
    healthy: bool
    simulated: bool


def read_status(specs: Sequence[ClusterSpec], *, root: Path, now: datetime | None = None) -> list[ClusterStatus]:
    """One row per cluster, looked at side by side."""
    now = now or datetime.now(UTC)
    with ThreadPoolExecutor(max_workers=LOOKS_AT_ONCE) as pool:
        return list(pool.map(lambda spec: _row(spec, root=root, now=now), specs))


@dataclass(frozen=True)
class Cell:
    """A text for people, and whether it is as it should be."""

    text: str
    ok: bool


def _row(spec: ClusterSpec, *, root: Path, now: datetime) -> ClusterStatus:
    machines = _answered(lambda: judge_machines(spec, observe_guests(ProxmoxReader(proxmox_access(spec, root=root)))))
    kubeconfig = ProjectPaths(root).kubeconfig(spec.environment, spec.name)
    talos = kubernetes = etcd = Cell("-", ok=False)
    age = "-"
    if ProjectPaths(root).talosconfig(spec.environment, spec.name).exists():
        cluster = open_talos(spec, root=root)
        talos = _answered(lambda: judge_talos(spec, _look(cluster)))
        etcd = _answered(lambda: _etcd(cluster))
    if kubeconfig.exists():
        kubernetes = _answered(lambda: _kubernetes(spec, kubeconfig))
        age = _answered(lambda: Cell(show_age(now - _created(kubeconfig)), ok=True)).text
    return ClusterStatus(
        cluster=spec.key,
        machines=machines.text,
        talos=talos.text,
        kubernetes=kubernetes.text,
        etcd=etcd.text,
        drift=read_last_drift(root, spec, now=now),
        age=age,
        healthy=all(cell.ok for cell in (machines, talos, kubernetes, etcd)),
        simulated=spec.proxmox.on_loopback,
    )


def _answered(read: Callable[[], Cell]) -> Cell:
    try:
        return read()
    except InfrafluxError as error:
        return Cell(f"no answer ({error.error_class})", ok=False)


def judge_machines(spec: ClusterSpec, guests: Sequence[Guest]) -> Cell:
    """`2/2 running` of the declared machines."""
    ours = {guest.vm_id: guest for guest in guests if spec.ownership_tag in guest.tags}
    running = sum(1 for node in spec.nodes if (guest := ours.get(node.vm_id)) and guest.running)
    return Cell(f"{running}/{len(spec.nodes)} running", ok=running == len(spec.nodes))


def _look(cluster: TalosCluster) -> list[NodeSeen]:
    admin, bare = cluster.admin, cluster.workspace.talosctl
    return [look(node, admin=admin, bare=bare, with_config=False) for node in cluster.spec.nodes]


def judge_talos(spec: ClusterSpec, seen: Sequence[NodeSeen]) -> Cell:
    """`2/2 v1.13.9`; several versions are all shown."""
    running = [one for one in seen if one.state is NodeState.RUNNING]
    versions = sorted({one.version for one in running})
    ok = len(running) == len(spec.nodes) and versions == [spec.versions.talos]
    return Cell(f"{len(running)}/{len(spec.nodes)} {' '.join(versions)}".strip(), ok=ok)


def _etcd(cluster: TalosCluster) -> Cell:
    found = look_at_etcd(cluster.spec.control_planes, admin=cluster.admin)
    wanted = len(cluster.spec.control_planes)
    voters = sum(1 for member in found.members if not member.learner) if found else 0
    return Cell(f"{voters}/{wanted} members", ok=voters == wanted)


def _kubernetes(spec: ClusterSpec, kubeconfig: Path) -> Cell:
    nodes = read_nodes(kubeconfig)
    ready = sum(node.ready for node in nodes)
    versions = sorted({node.kubelet_version for node in nodes})
    ok = ready == len(nodes) == len(spec.nodes) and versions == [spec.versions.kubernetes]
    return Cell(f"{ready}/{len(spec.nodes)} Ready {' '.join(versions)}".strip(), ok=ok)


def _created(kubeconfig: Path) -> datetime:
    """When the cluster's first namespace was made: the age of the cluster and not of its files here."""
    api = Kubernetes.from_kubeconfig(kubeconfig)
    try:
        namespace: Any = api.read(Ref(api_version="v1", kind="Namespace", name="kube-system")) or {}
    finally:
        api.close()
    return datetime.fromisoformat(namespace.get("metadata", {}).get("creationTimestamp", datetime.now(UTC).isoformat()))


def show_age(age: Any) -> str:
    """`3d4h`, `5h12m`, `7m`."""
    minutes = int(age.total_seconds()) // 60
    days, hours = minutes // 1440, minutes % 1440 // 60
    return f"{days}d{hours}h" if days else f"{hours}h{minutes % 60}m" if hours else f"{minutes}m"


def read_last_drift(root: Path, spec: ClusterSpec, *, now: datetime) -> str:
    """The verdict of the last drift check and how long ago it was; `never` where there was none."""
    path = ProjectPaths(root).last_drift(spec.environment, spec.name)
    try:
        report = json.loads(path.read_text())
        ago = show_age(now - datetime.fromisoformat(report["at"]))
    except (OSError, ValueError, KeyError):
        return "never"
    return f"{report['verdict']} {ago} ago"


def as_json(rows: Sequence[ClusterStatus]) -> list[dict[str, Any]]:
    """Rows for programs."""
    return [asdict(row) for row in rows]
