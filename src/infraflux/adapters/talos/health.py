"""Is the cluster healthy: look at etcd, Talos services and Kubernetes nodes, then judge in a pure function.

The verdict is only as good as what was looked at, so a node that could not be asked is a problem, never a pass.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kubernetes import client, config
from urllib3.exceptions import HTTPError

from infraflux.adapters.clock import wait_for
from infraflux.adapters.talos.cluster import TalosCluster
from infraflux.adapters.talos.seen import EtcdSeen, look_at_etcd, look_at_services
from infraflux.adapters.talos.talosctl import TALOS_ERRORS
from infraflux.config.errors import InfrafluxError, Retryable
from infraflux.config.models import ClusterSpec, Node, Role

API_TIMEOUT_S = 5
"""One read of the Kubernetes API; the deadline of the whole wait is the cluster's `talos.health_timeout_s`."""


@dataclass(frozen=True)
class KubernetesNode:
    """A Node object as far as health needs it."""

    name: str
    ready: bool
    addresses: tuple[str, ...]
    kubelet_version: str
    cordoned: bool = False


@dataclass(frozen=True, kw_only=True)
class ClusterSeen:
    """One look at everything; `unanswered` says per object why it could not be read."""

    services: Mapping[str, Mapping[str, bool]] = field(default_factory=dict)
    """Per node: service id -> running and not unhealthy."""
    etcd: EtcdSeen | None = None
    kubernetes: tuple[KubernetesNode, ...] | None = None
    unanswered: Mapping[str, str] = field(default_factory=dict)


def judge(spec: ClusterSpec, seen: ClusterSeen, *, require_ready: bool) -> list[str]:
    """What is not as it should be, in words; an empty list is a healthy cluster.

    `require_ready` is off before a CNI is installed: until then no node can be Ready.
    """
    problems = [f"{what}: {why}" for what, why in sorted(seen.unanswered.items())]
    for node in spec.nodes:
        if node.name not in seen.unanswered:
            problems += _service_problems(node, seen.services.get(node.name, {}))
    problems += _etcd_problems(spec, seen.etcd)
    if seen.kubernetes is not None:
        problems += _node_problems(spec, seen.kubernetes, require_ready=require_ready)
    return problems


def _service_problems(node: Node, services: Mapping[str, bool]) -> list[str]:
    wanted = ["apid", "kubelet", *(["etcd"] if node.role is Role.CONTROL_PLANE else [])]
    return [
        f"{node.name}: service {name} is {'not healthy' if name in services else 'absent'}"
        for name in wanted
        if not services.get(name, False)
    ]


def _etcd_problems(spec: ClusterSpec, etcd: EtcdSeen | None) -> list[str]:
    if etcd is None:
        return ["etcd: no control plane lists members"]
    wanted, listed = {node.name for node in spec.control_planes}, {member.hostname for member in etcd.members}
    problems = [f"etcd: {name} is not a member" for name in sorted(wanted - listed)]
    problems += [f"etcd: {name} is a member and no control plane of the cluster" for name in sorted(listed - wanted)]
    return problems + [f"etcd: {one.hostname} is still a learner" for one in etcd.members if one.learner]


def _node_problems(spec: ClusterSpec, nodes: Sequence[KubernetesNode], *, require_ready: bool) -> list[str]:
    by_name = {node.name: node for node in nodes}
    problems: list[str] = []
    for node in spec.nodes:
        found = by_name.get(node.name)
        if found is None:
            problems.append(f"{node.name}: not registered in Kubernetes")
        elif str(node.address) not in found.addresses:
            problems.append(f"{node.name}: Kubernetes knows it at {', '.join(found.addresses)}, not {node.address}")
        elif require_ready and not found.ready:
            problems.append(f"{node.name}: NotReady")
        elif require_ready and found.kubelet_version != spec.versions.kubernetes:
            problems.append(f"{node.name}: runs kubelet {found.kubelet_version}, not {spec.versions.kubernetes}")
    return problems


def look_at_cluster(cluster: TalosCluster) -> ClusterSeen:
    """Ask every node and the Kubernetes API once."""
    services: dict[str, dict[str, bool]] = {}
    unanswered: dict[str, str] = {}
    for node in cluster.spec.nodes:
        try:
            services[node.name] = _services(cluster, node)
        except TALOS_ERRORS as error:
            unanswered[node.name] = error.message
    nodes: tuple[KubernetesNode, ...] | None = None
    try:
        nodes = read_nodes(cluster.workspace.kubeconfig)
    except InfrafluxError as error:
        unanswered["kubernetes API"] = error.message
    etcd = look_at_etcd(cluster.spec.control_planes, admin=cluster.admin)
    return ClusterSeen(services=services, etcd=etcd, kubernetes=nodes, unanswered=unanswered)


def _services(cluster: TalosCluster, node: Node) -> dict[str, bool]:
    found = look_at_services(admin=cluster.admin, address=str(node.address))
    # `unknown` health means that the service has no check of its own: running is all it can show.
    return {
        name: bool(one.spec.get("running")) and bool(one.spec.get("healthy") or one.spec.get("unknown"))
        for name, one in found.items()
    }


def read_nodes(kubeconfig: Path) -> tuple[KubernetesNode, ...]:
    """All Node objects; Retryable where the API does not answer."""
    try:
        api = client.CoreV1Api(config.new_client_from_config(str(kubeconfig)))
        items = api.list_node(_request_timeout=API_TIMEOUT_S).items
    except (client.ApiException, HTTPError, config.ConfigException, OSError) as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise Retryable(f"the Kubernetes API does not answer: {text[:200]}", stage="health") from error
    return tuple(_kubernetes_node(item) for item in items)


def _kubernetes_node(item: Any) -> KubernetesNode:
    conditions = {one.type: one.status for one in item.status.conditions or []}
    return KubernetesNode(
        name=item.metadata.name,
        ready=conditions.get("Ready") == "True",
        addresses=tuple(one.address for one in item.status.addresses or [] if one.type == "InternalIP"),
        kubelet_version=item.status.node_info.kubelet_version if item.status.node_info else "",
        cordoned=bool(item.spec.unschedulable),
    )


def wait_healthy(cluster: TalosCluster, *, require_ready: bool) -> ClusterSeen:
    """Look until nothing is wrong; Retryable with the last list of problems when the deadline passes."""
    last: list[str] = []

    def probe() -> ClusterSeen | None:
        nonlocal last
        seen = look_at_cluster(cluster)
        problems = judge(cluster.spec, seen, require_ready=require_ready)
        if problems != last:
            cluster.log("; ".join(problems) or "healthy")
        last = problems
        return None if problems else seen

    deadline_s = cluster.spec.talos.health_timeout_s
    seen = wait_for(probe, clock=cluster.clock, deadline_s=deadline_s, interval_s=cluster.poll_s, what="health")
    if seen is None:
        raise Retryable(
            f"not healthy within {deadline_s} s; last seen: {'; '.join(last)}",
            cluster=cluster.spec.key,
            stage="health",
            next_step="see each line above; run again once the cause is gone",
        )
    return seen
