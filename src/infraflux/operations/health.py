"""Is the cluster healthy: look at etcd, Talos services and Kubernetes nodes, then judge in a pure function.

The verdict is only as good as what was looked at, so a node that could not be asked is a problem, never a pass.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from infraflux.adapters.kubernetes.client import Kubernetes
from infraflux.adapters.kubernetes.facts import OUT_OF_SERVICE, KubernetesNode, Manifest
from infraflux.adapters.kubernetes.quantities import cores_of, mib_of
from infraflux.adapters.talos.facts import EtcdSeen, SystemImage
from infraflux.adapters.talos.seen import look_at_etcd, look_at_services, read_image
from infraflux.adapters.talos.talosctl import TALOS_ERRORS, Talosctl
from infraflux.config.models import ClusterSpec, Node, Role
from infraflux.core.clock import NotYet, wait_until
from infraflux.core.errors import InfrafluxError, Retryable
from infraflux.drift.system_image import describe, runs, wanted_image
from infraflux.operations.bootstrap import LOOKS_AT_ONCE, TalosCluster
from infraflux.operations.plan.node_labels import identity_of, read_owned

API_TIMEOUT_S = 5
"""One read of the Kubernetes API; the deadline of the whole wait is the cluster's `talos.health_timeout_s`."""


@dataclass(frozen=True, kw_only=True)
class ClusterSeen:
    """One look at everything; `unanswered` says per object why it could not be read."""

    services: Mapping[str, Mapping[str, bool]] = field(default_factory=dict)
    """Per node: service id -> running and not unhealthy."""
    images: Mapping[str, SystemImage] = field(default_factory=dict)
    """Per node: the Talos image that it runs."""
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
    if require_ready:
        problems += _image_problems(spec, seen.images)
    problems += _etcd_problems(spec, seen.etcd)
    if seen.kubernetes is not None:
        problems += _node_problems(spec, seen.kubernetes, require_ready=require_ready)
    return problems


def _image_problems(spec: ClusterSpec, images: Mapping[str, SystemImage]) -> list[str]:
    wanted = wanted_image(spec)
    return [f"{name}: {describe(image, wanted)}" for name, image in images.items() if not runs(image, wanted)]


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
    admin, unanswered = cluster.admin, {}
    nodes: tuple[KubernetesNode, ...] | None = None
    with ThreadPoolExecutor(max_workers=LOOKS_AT_ONCE) as pool:
        asked = {node.name: pool.submit(_services_and_image, admin, node) for node in cluster.spec.nodes}
        members = pool.submit(look_at_etcd, cluster.spec.control_planes, admin=admin)
        try:
            nodes = read_nodes(cluster.workspace.kubeconfig)
        except InfrafluxError as error:
            unanswered["kubernetes API"] = error.message
        services, images = {}, {}
        for name, answer in asked.items():
            try:
                services[name], images[name] = answer.result()
            except TALOS_ERRORS as error:
                unanswered[name] = error.message
        return ClusterSeen(
            services=services, images=images, etcd=members.result(), kubernetes=nodes, unanswered=unanswered
        )


def _services_and_image(admin: Talosctl, node: Node) -> tuple[dict[str, bool], SystemImage]:
    return _services(admin, node), read_image(admin, address=str(node.address))


def _services(admin: Talosctl, node: Node) -> dict[str, bool]:
    found = look_at_services(admin=admin, address=str(node.address))
    # `unknown` health means that the service has no check of its own: running is all it can show.
    return {
        name: bool(one.spec.get("running")) and bool(one.spec.get("healthy") or one.spec.get("unknown"))
        for name, one in found.items()
    }


def read_nodes(kubeconfig: Path) -> tuple[KubernetesNode, ...]:
    """All Node objects; Retryable where the API does not answer."""
    # Not the client's own CoreV1Api: importing its models takes seconds, in every process that looks once.
    try:
        with closing(Kubernetes.from_kubeconfig(kubeconfig, timeout_s=API_TIMEOUT_S)) as api:
            return tuple(kubernetes_node(item) for item in api.list_objects("v1", "Node"))
    except InfrafluxError as error:
        # Whatever it answers while it starts, also that it knows nobody yet: it is asked again.
        raise Retryable(f"the Kubernetes API does not answer: {error.message[:200]}", stage="health") from error


def kubernetes_node(item: Manifest) -> KubernetesNode:
    """What health needs of a Node object (pure)."""
    status = item.get("status") or {}
    conditions = {one["type"]: one["status"] for one in status.get("conditions") or []}
    capacity, info = status.get("capacity") or {}, status.get("nodeInfo") or {}
    return KubernetesNode(
        name=item["metadata"]["name"],
        ready=conditions.get("Ready") == "True",
        addresses=tuple(one["address"] for one in status.get("addresses") or [] if one["type"] == "InternalIP"),
        kubelet_version=info.get("kubeletVersion", ""),
        cordoned=bool((item.get("spec") or {}).get("unschedulable")),
        out_of_service=(item["metadata"].get("annotations") or {}).get(OUT_OF_SERVICE, ""),
        boot_id=info.get("bootID", ""),
        cores=cores_of(str(capacity.get("cpu", "0"))),
        memory_mib=mib_of(str(capacity.get("memory", "0"))),
        labels=item["metadata"].get("labels") or {},
        taints={identity_of(one): one.get("value", "") for one in (item.get("spec") or {}).get("taints") or []},
        owned_taints=read_owned(item).taints,
        waits_for_cni=any(_waits_for_cni(one) for one in status.get("conditions") or []),
    )


def _waits_for_cni(condition: Manifest) -> bool:
    """The kubelet's own words (pkg/kubelet/runtime.go), with the reason that every container runtime gives."""
    told = f"{condition.get('message')}"
    return condition["type"] == "Ready" and condition["status"] != "True" and "NetworkPluginNotReady" in told


def wait_healthy(cluster: TalosCluster, *, require_ready: bool) -> ClusterSeen:
    """Look until nothing is wrong; Retryable with the last list of problems when the deadline passes."""

    def probe() -> ClusterSeen | NotYet:
        seen = look_at_cluster(cluster)
        problems = judge(cluster.spec, seen, require_ready=require_ready)
        return NotYet("; ".join(problems)) if problems else seen

    deadline_s = cluster.spec.talos.health_timeout_s
    seen = wait_until(
        probe,
        clock=cluster.clock,
        deadline_s=deadline_s,
        interval_s=cluster.poll_s,
        what="health",
        log=cluster.log,
    )
    if isinstance(seen, NotYet):
        raise Retryable(
            f"not healthy within {deadline_s} s; last seen: {seen}",
            cluster=cluster.spec.key,
            stage="health",
            next_step="see each line above; run again once the cause is gone",
        )
    return seen
