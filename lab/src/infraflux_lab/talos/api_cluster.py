"""cluster.ClusterService: the health check `talosctl health` runs on the server, in Talos' order.

Each check reads what a client would read: services, members and stages of the machines, and for Kubernetes the real
API server with an administrator's certificate.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import grpc

from infraflux_lab.talos.api_machine import require_control_plane
from infraflux_lab.talos.cluster import Cluster, Clusters
from infraflux_lab.talos.errors import TalosError
from infraflux_lab.talos.gateway import Call
from infraflux_lab.talos.kubernetes_view import KubernetesView, Unreachable
from infraflux_lab.talos.machine_config import MachineConfig
from infraflux_lab.talos.node import Node, Stage
from infraflux_lab.talos.proto import cluster_pb2

# Talos' minimum, as its checks demand it.
_MEMORY_MIB = {True: 1698, False: 874}
_POLL_S = 0.5
_COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
_DEFAULT_TIMEOUT_S = 20 * 60.0


class Unmet(Exception):
    """A check does not hold yet; the message says what was seen."""


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What one health check looks at."""

    cluster: Cluster
    config: MachineConfig
    control_planes: Sequence[Node]
    workers: Sequence[Node]
    missing: Sequence[str]
    kubernetes: KubernetesView

    @property
    def nodes(self) -> list[Node]:
        return [*self.control_planes, *self.workers]


async def _etcd_healthy(scope: Scope) -> None:
    _services(scope.control_planes, "etcd")


async def _kubelet_healthy(scope: Scope) -> None:
    _services(scope.nodes, "kubelet")


def _services(nodes: Sequence[Node], name: str) -> None:
    for node in nodes:
        service = node.services.get(name)
        if not node.answering or service is None:
            raise Unmet(f'{node.address}: no events recorded yet for service "{name}"')
        if service.state != "Running" or not service.healthy:
            raise Unmet(f'{node.address}: service "{name}" [{service.state}] {service.message}')


async def _members_consistent(scope: Scope) -> None:
    """Every control plane sees the same members: asked of each one's own."""
    seen = {}
    for node in scope.control_planes:
        members = await scope.cluster.membership.list_members(node, local=True)
        seen[node.address] = sorted((member.id, member.name) for member in members)
    if len(set(map(tuple, seen.values()))) > 1:
        raise Unmet(f"etcd members don't match: {seen}")


async def _members_are_control_planes(scope: Scope) -> None:
    addresses = {node.address for node in scope.control_planes}
    members = {member.address for member in scope.cluster.members}
    if not members <= addresses:
        raise Unmet(f"etcd member ips {sorted(members)} are not subset of control plane node ips {sorted(addresses)}")


async def _apid_ready(scope: Scope) -> None:
    silent = [*scope.missing, *(node.address for node in scope.nodes if not node.answering)]
    if silent:
        raise Unmet(f"apid does not answer on {', '.join(silent)}")


async def _memory(scope: Scope) -> None:
    for node in scope.nodes:
        if node.machine.memory_mib < _MEMORY_MIB[node.control_plane]:
            raise Unmet(f"{node.address}: {node.machine.memory_mib} MiB is below {_MEMORY_MIB[node.control_plane]} MiB")


async def _booted(scope: Scope) -> None:
    for node in scope.nodes:
        if node.stage is not Stage.RUNNING:
            raise Unmet(f"{node.address}: {node.stage.label}: {node.unmet()}")


async def _nodes_reported(scope: Scope) -> None:
    reported = {node.address for node in await scope.kubernetes.nodes()}
    expected = {node.address for node in scope.nodes}
    if reported != expected:
        raise Unmet(f"expected node addresses {sorted(expected)}, Kubernetes has {sorted(reported)}")


async def _components_ready(scope: Scope) -> None:
    for component in _COMPONENTS:
        ready = await scope.kubernetes.ready_pods(component)
        if ready != len(scope.control_planes):
            raise Unmet(f"expected {len(scope.control_planes)} ready {component} pods, found {ready}")


async def _nodes_ready(scope: Scope) -> None:
    if scope.config.cni == "none":
        return
    unready = [node.name for node in await scope.kubernetes.nodes() if not node.ready]
    if unready:
        raise Unmet(f"some nodes are not ready: {unready}")


async def _nodes_schedulable(scope: Scope) -> None:
    cordoned = [node.name for node in await scope.kubernetes.nodes() if node.unschedulable]
    if cordoned:
        raise Unmet(f"some nodes are not schedulable: {cordoned}")


Check = Callable[[Scope], Awaitable[None]]
CHECKS: Sequence[tuple[str, Check]] = (
    ("etcd to be healthy", _etcd_healthy),
    ("etcd members to be consistent across nodes", _members_consistent),
    ("etcd members to be control plane nodes", _members_are_control_planes),
    ("apid to be ready", _apid_ready),
    ("all nodes memory sizes", _memory),
    ("kubelet to be healthy", _kubelet_healthy),
    ("all nodes to finish boot sequence", _booted),
    ("all k8s nodes to report", _nodes_reported),
    ("all control plane components to be ready", _components_ready),
    ("all k8s nodes to report ready", _nodes_ready),
    ("all k8s nodes to report schedulable", _nodes_schedulable),
)


class ClusterApi:
    """Handlers, one method per RPC."""

    def __init__(self, clusters: Clusters) -> None:
        self._clusters = clusters

    async def health_check(
        self, call: Call, request: cluster_pb2.HealthCheckRequest
    ) -> AsyncGenerator[cluster_pb2.HealthCheckProgress, None]:
        config = require_control_plane(call.node, "cluster health check")
        timeout = request.wait_timeout
        timeout_s = timeout.seconds + timeout.nanos / 1e9 if request.HasField("wait_timeout") else _DEFAULT_TIMEOUT_S
        deadline = asyncio.get_running_loop().time() + timeout_s
        async with KubernetesView(config, request.cluster_info.force_endpoint) as kubernetes:
            scope = _scope(self._clusters.of(call.node), config, request.cluster_info, kubernetes)
            yield _progress(f"discovered nodes: {[node.address for node in scope.nodes]}")
            for title, check in CHECKS:
                async with aclosing(_wait(title, check, scope, deadline=deadline)) as lines:
                    async for line in lines:
                        yield _progress(line)


def _scope(cluster: Cluster, config: MachineConfig, info: cluster_pb2.ClusterInfo, kubernetes: KubernetesView) -> Scope:
    """The machines the request names, or all of the cluster if it names none."""
    known = {node.address: node for node in cluster.nodes()}
    wanted = [*info.control_plane_nodes, *info.worker_nodes]
    nodes = [known[address] for address in wanted if address in known] if wanted else list(known.values())
    return Scope(
        cluster=cluster,
        config=config,
        control_planes=[node for node in nodes if node.control_plane],
        workers=[node for node in nodes if not node.control_plane],
        missing=[address for address in wanted if address not in known],
        kubernetes=kubernetes,
    )


async def _wait(title: str, check: Check, scope: Scope, *, deadline: float) -> AsyncGenerator[str, None]:
    """Lines of progress until the check holds; the deadline ends it with what was last seen."""
    last = ""
    yield f"waiting for {title}: ..."
    while True:
        try:
            await check(scope)
        except (Unmet, Unreachable, TalosError) as error:
            seen = str(error)
        else:
            yield f"waiting for {title}: OK"
            return
        if seen != last:
            last = seen
            yield f"waiting for {title}: {seen}"
        if asyncio.get_running_loop().time() >= deadline:
            raise TalosError(grpc.StatusCode.DEADLINE_EXCEEDED, f"waiting for {title}: {seen}")
        await asyncio.sleep(_POLL_S)


def _progress(message: str) -> cluster_pb2.HealthCheckProgress:
    return cluster_pb2.HealthCheckProgress(message=message)
